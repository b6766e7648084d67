import { split } from 'shlex';

/** Text in words as a shell reads them: quotes and backslashes keep spaces; nothing is expanded. Throws on open quotes. */
export function wordsFromText(text: string): string[] {
  try {
    return split(text);
  } catch (cause) {
    throw new SyntaxError('a quote or a backslash is left open; close the quote, or put the apostrophe into quotes', {
      cause,
    });
  }
}
