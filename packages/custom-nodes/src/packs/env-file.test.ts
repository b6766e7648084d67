import { expect, test } from 'vitest';
import { renderEnv } from './env-file.ts';

test('variables are put in wherever they stand, and nothing is ever run', () => {
  const variables = { A: 'one', QUOTE: "it's #1", LINES: 'a\nb' };
  const wanted = {
    PLAIN: 'text',
    WHOLE: '${A}',
    INSIDE: 'http://${A}:${A}/',
    SHELL: '$(id) `id` $A',
    NESTED: '${${A}}',
    QUOTED: '${QUOTE}',
    LINES: '${LINES}',
    MISSING: '<${NONE}>',
  };
  expect(renderEnv(wanted, variables)).toEqual({
    text: [
      'PLAIN=text',
      'WHOLE=one',
      'INSIDE=http://one:one/',
      "SHELL='$(id) `id` $A'",
      "NESTED='${one}'",
      "QUOTED='it\\'s #1'",
      "LINES='a\nb'",
      'MISSING=<>',
      '',
    ].join('\n'),
    missing: ['NONE'],
  });
});
