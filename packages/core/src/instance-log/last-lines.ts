import { stripVTControlCharacters } from 'node:util';
import { logEnd } from './log-source.ts';
import { readLog } from './read-log.ts';

const maxBytes = 64 * 1024;
const maxLineLength = 1_000;

/**
 * The last lines of a log from the logical offset `from` on, without colours and empty ones, of each at most 1,000
 * characters; carriage returns keep the last state of a line. None when there is no such file.
 */
export async function lastLines(path: string, { from = 0, count = 50 } = {}): Promise<string[]> {
  const { offset: end } = logEnd(path);
  const texts: string[] = [];
  for await (const { text } of readLog(path, { from: Math.max(from, end - maxBytes), to: end })) texts.push(text);
  return texts
    .map((text) => stripVTControlCharacters(text).trimEnd())
    .filter((text) => text !== '')
    .slice(-count)
    .map((text) => (text.length > maxLineLength ? `${text.slice(0, maxLineLength)}…` : text));
}
