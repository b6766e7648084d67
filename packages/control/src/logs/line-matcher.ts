import type { LineMatcher } from '@mgpu/core';
import { RequestInvalidError } from '../errors.ts';

/**
 * An expression of a stranger: RE2, whose time is bounded by the length of the text, where those of JavaScript may take for ever.
 * Throws `CONTROL_REQUEST_INVALID`.
 */
export async function lineMatcher(pattern: string, { ignoreCase }: { ignoreCase: boolean }): Promise<LineMatcher> {
  const { RE2JS } = await import('re2js');
  try {
    return RE2JS.compile(pattern, ignoreCase ? RE2JS.CASE_INSENSITIVE : 0);
  } catch (error) {
    throw new RequestInvalidError({ problems: [`grep: ${(error as Error).message}`] });
  }
}
