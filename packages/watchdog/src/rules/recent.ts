/** The samples at most `ms` older than the last one. */
export function recent<S extends { readonly at: number }>(history: readonly S[], ms: number): readonly S[] {
  const last = history.at(-1);
  return last === undefined ? [] : history.filter(({ at }) => last.at - at <= ms);
}

/** Since when the condition has held without a break, up to the last sample; undefined when it does not hold there. */
export function holdsSince<S extends { readonly at: number }>(
  history: readonly S[],
  holds: (sample: S) => boolean,
): number | undefined {
  const broken = history.findLastIndex((sample) => !holds(sample));
  return history[broken + 1]?.at;
}
