import { createHash } from 'node:crypto';

/** A document as it is written to a file, with its version: the same content is the same bytes. */
export const documentText = (value: object): string =>
  `${JSON.stringify({ v: 1, ...(sorted(value) as object) }, null, 2)}\n`;

/** Keys in one order, so that the same content is the same bytes. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  const pairs = Object.entries(value).filter(([, item]) => item !== undefined);
  return Object.fromEntries(pairs.sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, item]) => [key, sorted(item)]));
}

/** SHA-256 of anything that is plain data. */
export const digest = (value: unknown): string => sha256(JSON.stringify(sorted(value)) ?? '');

export const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
