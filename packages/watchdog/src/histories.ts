/** How far back a history goes. */
export interface HistoryLimits {
  /** Milliseconds: more than any rule looks back, however often samples are taken. */
  readonly keepMs: number;
  /** Samples of a subject. Default 10,000. */
  readonly most?: number;
}

const defaultMost = 10_000;

/** The last samples of each subject, oldest first. */
export class Histories<S extends { readonly at: number }> {
  readonly #limits: HistoryLimits;
  readonly #samples = new Map<string, readonly S[]>();

  constructor(limits: HistoryLimits) {
    this.#limits = limits;
  }

  /** Returns the history that ends with this sample. */
  add(subject: string, sample: S): readonly S[] {
    const { keepMs, most = defaultMost } = this.#limits;
    const former = this.#samples.get(subject) ?? [];
    const history = [...former.filter(({ at }) => sample.at - at <= keepMs), sample].slice(-most);
    this.#samples.set(subject, history);
    return history;
  }

  forget(subject: string): void {
    this.#samples.delete(subject);
  }
}
