import fastStringWidth from 'fast-string-width';
import { paint } from './colours.ts';

const gap = '  ';

/** Columns without lines, as wide as their content: a cell is one line of text, which may have colours. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [head.map((each) => paint.dim(each)), ...rows];
  const widths = head.map((_, column) => Math.max(...all.map((row) => widthOf(row[column] ?? ''))));
  const cell = (text: string, column: number) => text + ' '.repeat(Math.max(0, (widths[column] ?? 0) - widthOf(text)));
  return all.map((row) => row.map(cell).join(gap).trimEnd()).join('\n');
}

/** In columns of a terminal; colours have none. */
const widthOf = (text: string): number => fastStringWidth(text);
