import { StringDecoder } from 'node:string_decoder';

/** Bytes of a line. A longer one is told in pieces. */
export const maxLineBytes = 64 * 1024;

const newline = 10;
const carriageReturn = 13;
const nothing: Buffer = Buffer.alloc(0);

/** A line, or a piece of one, with the logical offsets of its first byte and of what follows it. */
export interface SplitLine {
  readonly offset: number;
  readonly end: number;
  readonly text: string;
  /** It goes on in the next one. */
  readonly isSplit: boolean;
}

/**
 * Makes lines of bytes, however these are cut into chunks. Of a line that is written over with carriage returns the last
 * state counts. Invalid UTF-8 becomes U+FFFD. Holds at most one piece of a line.
 */
export class LineSplitter {
  #begin: number;
  /** What can still be seen of it, and carriage returns behind that. */
  #rest: Buffer = nothing;
  #position: number;

  constructor(offset: number) {
    this.#begin = offset;
    this.#position = offset;
  }

  /** The offset of what it wants next. */
  get position(): number {
    return this.#position;
  }

  /** Where the line begins that has not ended. */
  get begin(): number {
    return this.#begin;
  }

  push(chunk: Buffer): SplitLine[] {
    const lines: SplitLine[] = [];
    const isPlain = !chunk.includes(carriageReturn);
    let start = 0;
    for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, start)) {
      // Nearly all lines are whole and short: these are not copied on their way.
      if (isPlain && this.#rest.length === 0 && end - start <= maxLineBytes) {
        this.#position += end - start + 1;
        lines.push(this.#line(chunk.toString('utf8', start, end), this.#position));
      } else {
        this.#add(chunk.subarray(start, end), lines);
        this.#position += 1;
        lines.push(this.#line(seen(this.#rest).toString('utf8'), this.#position));
        this.#rest = nothing;
      }
      this.#begin = this.#position;
      start = end + 1;
    }
    this.#add(chunk.subarray(start), lines);
    // A copy, lest a few bytes hold the whole chunk.
    this.#rest = Buffer.from(this.#rest);
    return lines;
  }

  /** The line that has not ended, as far as it is written. */
  get partial(): SplitLine | undefined {
    if (this.#position === this.#begin) return undefined;
    // A character of which only some bytes are there is left out.
    return this.#line(new StringDecoder('utf8').write(seen(this.#rest)), this.#position);
  }

  /** Goes on behind bytes that are lost; the line that had not ended ends there. */
  skipTo(offset: number): SplitLine[] {
    const { partial } = this;
    this.#begin = offset;
    this.#position = offset;
    this.#rest = nothing;
    return partial ? [partial] : [];
  }

  #add(bytes: Buffer, lines: SplitLine[]): void {
    let start = 0;
    while (start < bytes.length) {
      const found = bytes.indexOf(carriageReturn, start);
      const isAtReturn = found === start;
      const end = isAtReturn ? start + 1 : found < 0 ? bytes.length : found;
      const more = bytes.subarray(start, end);
      // What comes after a carriage return writes over what was before it.
      const isOver = !isAtReturn && this.#rest.at(-1) === carriageReturn;
      this.#rest = this.#rest.length === 0 || isOver ? more : joined(this.#rest, more, isAtReturn);
      this.#position += more.length;
      start = end;
      while (this.#rest.length > maxLineBytes) this.#splitOff(lines);
    }
  }

  #splitOff(lines: SplitLine[]): void {
    const length = characterBorder(this.#rest, maxLineBytes);
    const end = this.#position - this.#rest.length + length;
    lines.push({ ...this.#line(this.#rest.toString('utf8', 0, length), end), isSplit: true });
    this.#rest = this.#rest.subarray(length);
    this.#begin = end;
  }

  #line(text: string, end: number): SplitLine {
    return { offset: this.#begin, end, text, isSplit: false };
  }
}

/** One carriage return stands for many. */
const joined = (rest: Buffer, more: Buffer, isReturn: boolean) =>
  isReturn && rest.at(-1) === carriageReturn ? rest : Buffer.concat([rest, more]);

function seen(rest: Buffer): Buffer {
  return rest.at(-1) === carriageReturn ? rest.subarray(0, -1) : rest;
}

/** The last border between two characters at or before `at`; `at` itself where no UTF-8 is. */
function characterBorder(bytes: Buffer, at: number): number {
  for (let border = at; border > at - 4; border -= 1) {
    if (((bytes[border] ?? 0) & 0xc0) !== 0x80) return border;
  }
  return at;
}
