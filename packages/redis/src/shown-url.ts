import { redact } from '@mgpu/core';

/** The URL for people: no password, no options. */
export function shownUrl(url: string): string {
  const shown = new URL(url);
  shown.search = '';
  return redact(shown.href);
}
