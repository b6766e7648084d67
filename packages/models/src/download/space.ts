import { statfs } from 'node:fs/promises';
import { NoSpaceError } from '../errors.ts';

/** Space on the disk of one folder, shared out among downloads before they begin. */
export class Space {
  readonly #reserveBytes: number;
  readonly #claims = new Set<{ remaining: number }>();

  constructor(reserveBytes: number) {
    this.#reserveBytes = reserveBytes;
  }

  /**
   * Claims room for what is still to come of `path`, which lies in `folder`. Throws `MODELS_NO_SPACE` when there is not enough
   * beside the reserve and the claims of others; what is written of a claim counts no more.
   */
  async claim(path: string, folder: string, bytes: number): Promise<Disposable & { written(bytes: number): void }> {
    const claim = { remaining: bytes };
    // Before the disk is asked: of two at once neither may overlook the other.
    const others = [...this.#claims].reduce((sum, each) => sum + each.remaining, 0);
    this.#claims.add(claim);
    const release = () => void this.#claims.delete(claim);
    try {
      const { bavail, bsize } = await statfs(folder);
      const freeBytes = bavail * bsize - this.#reserveBytes - others;
      if (bytes > freeBytes) throw new NoSpaceError({ path, neededBytes: bytes, freeBytes });
    } catch (error) {
      release();
      throw error;
    }
    return {
      written: (more) => {
        claim.remaining = Math.max(0, claim.remaining - more);
      },
      [Symbol.dispose]: release,
    };
  }
}
