import { stripVTControlCharacters } from 'node:util';
import { clipLine } from './text.ts';

const enter = '\u001B[?1049h\u001B[?25l';
const leave = '\u001B[?25h\u001B[?1049l';
const eraseRest = '\u001B[K';

/**
 * A page on a terminal that is drawn over itself: only lines that changed are sent, and nothing while the terminal is
 * behind. Whatever was on the screen is back when it is disposed of, or the process ends.
 */
export class LiveScreen implements Disposable {
  readonly #out: NodeJS.WriteStream;
  #shown: readonly string[] = [];
  #wanted = '';
  readonly #redraw = () => {
    this.#shown = [];
    this.#out.write('\u001B[2J');
    this.#draw();
  };
  readonly #catchUp = () => this.#draw();
  readonly #restore = () => void this.#out.write(leave);

  constructor(out: NodeJS.WriteStream) {
    this.#out = out;
    out.write(enter);
    out.on('resize', this.#redraw);
    out.on('drain', this.#catchUp);
    process.once('exit', this.#restore);
  }

  show(text: string): void {
    this.#wanted = text;
    this.#draw();
  }

  [Symbol.dispose](): void {
    this.#out.off('resize', this.#redraw);
    this.#out.off('drain', this.#catchUp);
    process.off('exit', this.#restore);
    this.#restore();
  }

  #draw(): void {
    if (this.#out.writableNeedDrain) return; // a slow line gets the newest page when it has caught up
    const lines = this.#page();
    const changes = Array.from({ length: Math.max(lines.length, this.#shown.length) }, (_, row) => {
      const line = lines[row] ?? '';
      return line === this.#shown[row] ? '' : `\u001B[${row + 1};1H${line}${eraseRest}`;
    });
    const text = changes.join('');
    this.#shown = lines;
    if (text !== '') this.#out.write(`${text}\u001B[${Math.max(1, lines.length)};1H`);
  }

  /** What fits: the last line says how much does not. */
  #page(): readonly string[] {
    const { rows = 24, columns = 80 } = this.#out;
    const lines = this.#wanted.split('\n').map((line) => clipLine(line, columns));
    if (lines.length <= rows) return lines;
    const kept = lines.slice(0, rows - 1);
    const left = lines.slice(rows - 1).filter((line) => stripVTControlCharacters(line).trim() !== '').length;
    return [...kept, `… ${left} more lines`];
  }
}
