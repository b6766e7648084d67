import { closest, distance } from 'fastest-levenshtein';

/** The known word that somebody may have meant, however it is written; undefined when none is near. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  if (known.length === 0) return undefined;
  const lower = new Map(known.map((each) => [each.toLowerCase(), each]));
  const near = closest(word.toLowerCase(), [...lower.keys()]);
  return distance(word.toLowerCase(), near) <= Math.max(2, word.length / 3) ? lower.get(near) : undefined;
}
