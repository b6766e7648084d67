import { describe, expect, test } from 'vitest';
import { seeded } from '../../test/support.ts';
import { LineSplitter, maxLineBytes, type SplitLine } from './line-splitter.ts';

/** The lines of a text, cut into chunks of at most `most` bytes, and what has not ended. */
function split(text: string | Buffer, most = Number.POSITIVE_INFINITY, random = (n: number) => n - 1): SplitLine[] {
  const bytes = Buffer.from(text as string);
  const splitter = new LineSplitter(100);
  const lines: SplitLine[] = [];
  for (let start = 0; start < bytes.length; ) {
    const end = Math.min(bytes.length, start + 1 + random(Math.min(most, bytes.length)));
    lines.push(...splitter.push(bytes.subarray(start, end)));
    start = end;
  }
  return splitter.partial ? [...lines, splitter.partial] : lines;
}

const texts = (lines: readonly SplitLine[]) => lines.map(({ text }) => text);

describe('the lines of a stream', () => {
  test('are told with their offsets, without their ends', () => {
    expect(split('one\r\n\nthree')).toEqual([
      { offset: 100, end: 105, text: 'one', isSplit: false },
      { offset: 105, end: 106, text: '', isSplit: false },
      { offset: 106, end: 111, text: 'three', isSplit: false },
    ]);
  });

  test.each([
    ['  0%\r 50%\r100%\ndone\n', ['100%', 'done']],
    ['  0%\r 50%\r', [' 50%']],
    ['\r\r\r\n\rx', ['', 'x']],
    ['a\rb\r\r\nc', ['b', 'c']],
  ])('have the last state of %j', (text, expected) => {
    expect(texts(split(text))).toEqual(expected);
    expect(texts(split(text, 1))).toEqual(expected);
  });

  test('have whole characters, or a sign for what is none', () => {
    expect(texts(split('né\n€\n😀\n', 1))).toEqual(['né', '€', '😀']);
    expect(texts(split(Buffer.from([0x61, 0xff, 0xc3, 0x0a]), 1))).toEqual(['a\ufffd\ufffd']);
    expect(texts(split(Buffer.from('so far: 😀').subarray(0, -1)))).toEqual(['so far: ']);
  });

  test('are told in pieces where they are long, between characters', () => {
    const lines = split(`${'€'.repeat(50_000)}\nshort\n`);
    expect(texts(lines).join('')).toBe(`${'€'.repeat(50_000)}short`);
    expect(lines.map(({ isSplit }) => isSplit)).toEqual([true, true, false, false]);
    expect(lines.every(({ text }) => Buffer.byteLength(text) <= maxLineBytes)).toBe(true);
    for (const [index, { offset }] of lines.entries()) expect(offset).toBe(lines[index - 1]?.end ?? 100);
  });

  test('go on behind a gap', () => {
    const splitter = new LineSplitter(0);
    expect(texts(splitter.push(Buffer.from('whole\ncut o')))).toEqual(['whole']);
    expect(splitter.skipTo(1_000)).toMatchObject([{ offset: 6, text: 'cut o' }]);
    expect(splitter.push(Buffer.from('later\n'))).toMatchObject([{ offset: 1_000, end: 1_006, text: 'later' }]);
  });

  test('are the same however the stream is cut', () => {
    const random = seeded(7);
    const pieces = ['x', 'né', '😀', '\r', '\n', '\r\n', 'y'.repeat(70_000), 'z'.repeat(maxLineBytes), '\xff'];
    for (let round = 0; round < 10; round += 1) {
      const text = Array.from({ length: 12 }, () => pieces[random(pieces.length)]).join('');
      const whole = split(text);
      for (const most of [1_000, 30_000, 66_000, 150_000]) expect(split(text, most, random)).toEqual(whole);
    }
  });
});
