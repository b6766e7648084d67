import { expect, test } from 'vitest';
import { argumentsOf } from './command-line.ts';

test('options and arguments are words of their own, and no value can become an option', () => {
  const line = { words: ['nodes', 'add'], operands: ['url', 'names'], negated: ['requirements'] };
  expect(
    argumentsOf(line, {
      url: '--upload-pack=evil',
      names: ['-x', '--', '--json'],
      branch: '--config=/etc/other',
      extra: ['-a', 'b c'],
      installScript: true,
      recursive: false,
      requirements: false,
      size: 5,
      commit: undefined,
    }),
  ).toEqual([
    'nodes',
    'add',
    '--branch=--config=/etc/other',
    '--extra=-a',
    '--extra=b c',
    '--install-script',
    '--no-requirements',
    '--size=5',
    '--',
    '--upload-pack=evil',
    '-x',
    '--',
    '--json',
  ]);
  expect(argumentsOf(line, { requirements: true })).toEqual(['nodes', 'add']);
});
