import { createHash } from 'node:crypto';
import {
  closeSync,
  constants,
  createWriteStream,
  fstatSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  writeFileSync,
} from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { dirname, join, resolve, sep } from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { type Artifact, abortable, type ProducedFile, reportError } from '@mgpu/core/jobs';
import mime from 'mime';
import { ArtifactSourceError } from './errors.ts';
import { numberedName, safeName } from './safe-name.ts';

const chunkBytes = 256 * 1024;
/** Files up to here are copied in one go: a trip through the thread pool for each call costs six times the work itself. */
const smallBytes = 128 * 1024;
const readFlags = constants.O_RDONLY | constants.O_NONBLOCK;

/**
 * The files of one job under `<root>/<job>/`: copied and hashed in one pass, each complete from the moment it has its name.
 * Not synced: after a loss of power a file may be short while Redis still knows its job; the hash in the result tells.
 */
export class ArtifactStore {
  readonly #dir: string;
  readonly #taken = new Set<string>();
  readonly #made = new Set<string>();

  constructor(root: string, jobId: string) {
    this.#dir = join(resolve(root), folderOf(jobId));
  }

  /** Removes what is there of the job. */
  async clear(): Promise<void> {
    await rm(this.#dir, { recursive: true, force: true });
  }

  /** Throws `WORKER_ARTIFACT_SOURCE`. */
  async store({ name, mediaType, origin, source }: ProducedFile, signal: AbortSignal): Promise<Artifact> {
    const own = this.#reserve(name);
    const path = join(this.#dir, own);
    if (!path.startsWith(this.#dir + sep)) throw new ArtifactSourceError({ name, problem: 'its name leads elsewhere' });
    const temporary = join(this.#dir, `.${this.#taken.size}.part`);
    try {
      signal.throwIfAborted();
      this.#makeFolder(dirname(path));
      const { bytes, sha256 } = copySmall(source, temporary, path) ?? (await copy(source, temporary, path, signal));
      return {
        name: own,
        path,
        mediaType: mediaType ?? mime.getType(own) ?? 'application/octet-stream',
        bytes,
        sha256,
        ...(origin === undefined ? {} : { origin: { ...origin } }),
      };
    } catch (error) {
      await rm(temporary, { force: true });
      if (signal.aborted) throw signal.reason;
      throw new ArtifactSourceError({ name, problem: reportError(error).message }, { cause: error });
    }
  }

  #reserve(wanted: string): string {
    const safe = safeName(wanted);
    let own = safe;
    // Some file systems do not tell upper from lower case.
    for (let number = 2; this.#taken.has(own.toLowerCase()); number++) own = numberedName(safe, number);
    this.#taken.add(own.toLowerCase());
    return own;
  }

  #makeFolder(dir: string): void {
    if (this.#made.has(dir)) return;
    mkdirSync(dir, { recursive: true });
    this.#made.add(dir);
  }
}

/** Ids of other clients may be anything; what is no plain name becomes its hash. */
function folderOf(jobId: string): string {
  const plain = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/.test(jobId);
  return plain ? jobId : createHash('sha256').update(jobId).digest('hex');
}

interface Copied {
  readonly bytes: number;
  readonly sha256: string;
}

/** Undefined for what is not small. */
function copySmall(source: ProducedFile['source'], temporary: string, target: string): Copied | undefined {
  if (!('path' in source)) return undefined;
  const input = openSync(source.path, readFlags);
  try {
    const facts = fstatSync(input);
    if (!facts.isFile() || facts.size > smallBytes) return undefined;
    // One byte more than expected, to see that nobody is still writing.
    const buffer = Buffer.allocUnsafe(facts.size + 1);
    const bytes = readSync(input, buffer);
    if (bytes !== facts.size) return undefined;
    const content = buffer.subarray(0, bytes);
    writeFileSync(temporary, content, { flag: 'wx' });
    renameSync(temporary, target);
    return { bytes, sha256: createHash('sha256').update(content).digest('hex') };
  } finally {
    closeSync(input);
  }
}

async function copy(
  source: ProducedFile['source'],
  temporary: string,
  target: string,
  signal: AbortSignal,
): Promise<Copied> {
  const hash = createHash('sha256');
  let bytes = 0;
  const seen = new Transform({
    transform(chunk: Uint8Array, _, done) {
      hash.update(chunk);
      bytes += chunk.byteLength;
      done(null, chunk);
    },
  });
  const input = 'path' in source ? await openRegular(source.path) : Readable.from(source.stream, { objectMode: false });
  const copied = pipeline(input, seen, createWriteStream(temporary, { flags: 'wx' }), { signal });
  // A source that has stopped giving must not hold up the end of its attempt.
  await abortable(copied, signal);
  await rename(temporary, target);
  return { bytes, sha256: hash.digest('hex') };
}

/** Not blocking: a pipe that somebody put there must not hold us up. */
async function openRegular(path: string): Promise<Readable> {
  const handle = await open(path, readFlags);
  if ((await handle.stat()).isFile()) return handle.createReadStream({ highWaterMark: chunkBytes });
  await handle.close();
  throw new TypeError(`${path} is not a regular file`);
}
