import { logRecord, type NamedLine } from '@mgpu/core';
import { wrapAnsi } from 'fast-wrap-ansi';
import type { LogText } from './log-text.ts';

/** Where the words of an answer without an end go. Resolves to false when nobody reads them any more. */
export type Write = (text: string) => Promise<boolean>;

export interface LogView {
  /** False when nobody reads any more. */
  show(lines: readonly NamedLine[]): Promise<boolean>;
  /** Nothing comes any more. */
  end(): Promise<void>;
}

/** Lines that have not ended: shown as they are at last, or only when they have ended. */
export interface LogViewOptions {
  readonly write: Write;
  readonly isFollowed: boolean;
}

/** One JSON object a line. */
export class JsonLogView implements LogView {
  readonly #options: LogViewOptions;

  constructor(options: LogViewOptions) {
    this.#options = options;
  }

  show(lines: readonly NamedLine[]): Promise<boolean> {
    const { write, isFollowed } = this.#options;
    const told = lines.filter(({ isPartial }) => !(isPartial && isFollowed));
    return write(told.map((line) => `${JSON.stringify(logRecord(line))}\n`).join(''));
  }

  async end(): Promise<void> {}
}

/** Lines for people. */
export class PlainLogView implements LogView {
  readonly #text: LogText;
  readonly #options: LogViewOptions;
  /** Whose line goes on without a line end, since it came in pieces. */
  #open: string | undefined;

  constructor(text: LogText, options: LogViewOptions) {
    this.#text = text;
    this.#options = options;
  }

  show(lines: readonly NamedLine[]): Promise<boolean> {
    const { write, isFollowed } = this.#options;
    return write(this.compose(lines.filter(({ isPartial }) => !(isPartial && isFollowed))));
  }

  async end(): Promise<void> {
    if (this.#open !== undefined) await this.#options.write('\n');
  }

  compose(lines: readonly NamedLine[]): string {
    return lines.map((line) => this.#line(line)).join('');
  }

  #line(line: NamedLine): string {
    const { instance, isSplit } = line;
    const head = this.#open === instance ? '' : `${this.#open === undefined ? '' : '\n'}${this.#text.head(line)}`;
    this.#open = isSplit ? instance : undefined;
    return `${head}${this.#text.body(line)}${isSplit ? '' : '\n'}`;
  }
}

/** Rows of lines that have not ended, at most: the others are not shown until they end. */
const mostRows = 12;

/** Lines for people who watch: those that have not ended yet, such as progress bars, stay below and change in place. */
export class LiveLogView implements LogView {
  readonly #text: LogText;
  readonly #plain: PlainLogView;
  readonly #write: Write;
  readonly #size: () => { columns: number; rows: number };
  readonly #open = new Map<string, NamedLine>();
  #rows = 0;

  constructor(text: LogText, { write, size }: { write: Write; size: () => { columns: number; rows: number } }) {
    this.#text = text;
    this.#plain = new PlainLogView(text, { write, isFollowed: true });
    this.#write = write;
    this.#size = size;
  }

  show(lines: readonly NamedLine[]): Promise<boolean> {
    const ended: NamedLine[] = [];
    for (const line of lines) {
      if (line.isPartial) this.#open.set(line.instance, line);
      else if (this.#open.get(line.instance)?.offset === line.offset) this.#open.delete(line.instance);
      if (!line.isPartial) ended.push(line);
    }
    return this.#write(`${this.#erased()}${this.#plain.compose(ended)}${this.#area()}`);
  }

  async end(): Promise<void> {
    if (this.#rows > 0) await this.#write('\n');
    await this.#plain.end();
  }

  #erased(): string {
    if (this.#rows === 0) return '';
    return `\r${this.#rows > 1 ? `\u001B[${this.#rows - 1}A` : ''}\u001B[J`;
  }

  /** One row each: what is wider cannot be erased. */
  #area(): string {
    const { columns, rows } = this.#size();
    const shown = [...this.#open.values()].slice(-Math.max(1, Math.min(mostRows, rows - 2)));
    this.#rows = shown.length;
    return shown.map((line) => firstRow(`${this.#text.head(line)}${this.#text.body(line)}`, columns - 1)).join('\n');
  }
}

/** As wide as a terminal is, whatever the characters are. */
const firstRow = (text: string, width: number) =>
  wrapAnsi(text.replaceAll('\t', ' '), width, { hard: true, trim: false, wordWrap: false }).split('\n', 1)[0] ?? '';
