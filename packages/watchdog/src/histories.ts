/** The last samples of each subject, oldest first. */
export class Histories<S> {
  readonly #length: number;
  readonly #samples = new Map<string, readonly S[]>();

  constructor(length: number) {
    this.#length = length;
  }

  /** Returns the history that ends with this sample. */
  add(subject: string, sample: S): readonly S[] {
    const history = [...(this.#samples.get(subject) ?? []), sample].slice(-this.#length);
    this.#samples.set(subject, history);
    return history;
  }

  forget(subject: string): void {
    this.#samples.delete(subject);
  }
}
