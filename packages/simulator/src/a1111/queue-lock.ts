/** One lock for all that uses the GPU: first come, first served. */
export class QueueLock {
  #last: Promise<void> = Promise.resolve();
  #waiting = 0;

  /** Who has it and who waits for it. */
  get size(): number {
    return this.#waiting;
  }

  async hold<T>(work: () => Promise<T>): Promise<T> {
    const before = this.#last;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#last = promise;
    this.#waiting++;
    try {
      await before;
      return await work();
    } finally {
      this.#waiting--;
      resolve();
    }
  }
}
