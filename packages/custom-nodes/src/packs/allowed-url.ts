import { isAbsolute, normalize } from 'node:path';

/** A URL as it is compared and kept: without credentials. */
export function plainUrl(url: string): string {
  if (isAbsolute(url)) return normalize(url);
  if (!URL.canParse(url) || !url.includes('://')) return url;
  const parsed = new URL(url);
  if (parsed.username === '' && parsed.password === '') return url;
  if (parsed.protocol.startsWith('http')) parsed.username = '';
  parsed.password = '';
  return parsed.href;
}

/** Whether two URLs mean the same repository, as far as they tell. */
export const isSameUrl = (a: string, b: string): boolean => bare(a) === bare(b);
const bare = (url: string) =>
  plainUrl(url)
    .replace(/\/+$/, '')
    .replace(/\.git$/, '');

/** Whether a URL is among the allowed ones: `*` in a pattern stands for anything. Credentials take no part. */
export function isAllowedUrl(url: string, patterns: readonly string[] | undefined): boolean {
  if (patterns === undefined) return true;
  const plain = plainUrl(url);
  const compared = URL.canParse(plain) && plain.includes('://') ? new URL(plain).href : plain;
  return patterns.some((pattern) => matcher(pattern).test(compared));
}

const matcher = (pattern: string): RegExp =>
  new RegExp(
    `^${pattern
      .split('*')
      .map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'))
      .join('.*')}$`,
  );
