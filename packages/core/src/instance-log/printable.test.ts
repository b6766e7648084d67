import { expect, test } from 'vitest';
import { printable } from './printable.ts';

test.each([
  ['plain\ttext, 한국어 😀', 'plain\ttext, 한국어 😀'],
  ['\u001B[31mred\u001B[0m', 'red'],
  ['clear\u001B[2J\u001B[H the screen', 'clear the screen'],
  ['title \u001B]0;owned\u0007 set', 'title  set'],
  ['link \u001B]8;;http://x\u001B\\text\u001B]8;;\u001B\\', 'link text'],
  ['\u001BP1$r0m\u001B\\dcs', 'dcs'],
  ['ask\u001B[6n \u001B[c\u001BZ', 'ask '],
  ['bell\u0007 back\b\b space\u000B\u0000', 'bell back space'],
  ['8 bit \u009B31m \u009D0;x', '8 bit 31m 0;x'],
  ['cut \u001B[31', 'cut 31'],
  ['\u001B', ''],
  ['\u001B\u001B[2Jx', 'x'],
  ['\u001B[\u001B[2J2Jx', '2Jx'],
])('%j is shown as %j', (text, shown) => {
  expect(printable(text, { colours: false })).toBe(shown);
});

test('colours are kept where there are some, and end with the line', () => {
  const coloured = '\u001B[1;38;5;196mred\u001B[2K \u001B[48:2::1:2:3mx';
  expect(printable(coloured, { colours: true })).toBe('\u001B[1;38;5;196mred \u001B[48:2::1:2:3mx\u001B[0m');
  expect(printable('plain', { colours: true })).toBe('plain');
});
