import Table from 'cli-table3';
import { paint } from './colours.ts';

const nothing = '';
const bare = {
  top: nothing,
  'top-mid': nothing,
  'top-left': nothing,
  'top-right': nothing,
  bottom: nothing,
  'bottom-mid': nothing,
  'bottom-left': nothing,
  'bottom-right': nothing,
  left: nothing,
  'left-mid': nothing,
  mid: nothing,
  'mid-mid': nothing,
  right: nothing,
  'right-mid': nothing,
  middle: '  ',
};

/** Columns without lines, as wide as their content. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const view = new Table({
    head: head.map((each) => paint.dim(each)),
    chars: bare,
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 },
  });
  view.push(...rows.map((row) => [...row]));
  return view
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n');
}
