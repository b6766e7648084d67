import { expect, test } from 'vitest';
import { numberedName, safeName } from './safe-name.ts';

test.each([
  ['a.png', 'a.png'],
  ['sub/folder/a.png', 'sub/folder/a.png'],
  ['../../etc/passwd', 'etc/passwd'],
  ['/etc/passwd', 'etc/passwd'],
  ['a/../../b', 'a/b'],
  ['..\\..\\c', 'c'],
  ['C:\\temp\\x.png', 'C_/temp/x.png'],
  ['nul\u0000l\n', 'nul_l_'],
  ['', 'artifact'],
  ['...', 'artifact'],
  ['.env', 'env'],
  ['trailing. /x ', 'trailing/x'],
  ['e\u0301.png', 'é.png'],
  ['\ud800lone', '_lone'],
  ['1/2/3/4/5/6/7/8.png', '3/4/5/6/7/8.png'],
])('%j becomes %j', (name, safe) => {
  expect(safeName(name)).toBe(safe);
  expect(safeName(safe)).toBe(safe);
});

test('what is too long keeps its extension', () => {
  const name = safeName(`${'ü'.repeat(500)}.safetensors`);
  expect(Buffer.byteLength(name)).toBeLessThanOrEqual(200);
  expect(name).toMatch(/^ü+\.safetensors$/);
});

test('a number goes before the extension', () => {
  expect(numberedName('a/b.c/d.png', 2)).toBe('a/b.c/d-2.png');
  expect(numberedName('a.b/noextension', 3)).toBe('a.b/noextension-3');
});
