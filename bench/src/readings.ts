import { show, summarize } from './statistics.ts';

/** What was measured of each contender, printed side by side. */
export class Readings {
  readonly #base: string;
  readonly #missing: readonly { readonly name: string; readonly why: string }[];
  readonly #values = new Map<string, Map<string, number[]>>();

  /** `base` is whom the others are compared with; `missing` are those that took no part. */
  constructor(base: string, missing: readonly { readonly name: string; readonly why: string }[] = []) {
    this.#base = base;
    this.#missing = missing;
  }

  add(metric: string, name: string, ...values: readonly number[]): void {
    const byName = this.#values.get(metric) ?? new Map<string, number[]>();
    this.#values.set(metric, byName);
    byName.set(name, [...(byName.get(name) ?? []), ...values]);
  }

  print(): void {
    for (const [metric, byName] of this.#values) {
      console.log(`\n${metric}`);
      const base = summarize(byName.get(this.#base) ?? []).median;
      for (const [name, values] of byName) {
        const summary = summarize(values);
        const ratio = base > 0 ? (summary.median / base).toFixed(2) : '';
        console.log(`  ${name.padEnd(12)} ${show(summary).padEnd(32)} ${ratio}`);
      }
      for (const { name, why } of this.#missing) console.log(`  ${name.padEnd(12)} ${why}`);
    }
  }
}
