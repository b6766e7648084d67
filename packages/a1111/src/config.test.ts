import { expect, test } from 'vitest';
import { a1111Schema } from './config.ts';

test.each([
  '--port',
  '--port=1',
  '--listen',
  '--data-dir',
  '--ui-settings-file=/x',
  '--device-id',
  '--api-auth',
  '--shar',
])('the argument %s is not for users', (word) => {
  const { error } = a1111Schema.safeParse({ args: [word] });
  expect(error?.issues[0]?.message).toMatch(/mgpu itself sees to .*--port/);
});

test.each(['--medvram', '--api', '--nowebui', '--opt-sdp-no-mem-attention', '--precision', 'full', '-f', '--xformers'])(
  'the argument %s is',
  (word) => {
    expect(a1111Schema.safeParse({ args: [word] }).success).toBe(true);
  },
);

test.each([
  { setup: { helpers: { '../x': { repository: '/r', ref: 'main' } } } },
  { setup: { torch: { requirements: ['--index-url=http://x'] } } },
  { setup: { launcherPackages: ['--extra-index-url'] } },
  { aliases: { '../a': 'b' } },
  { tcmalloc: 'lib.so' },
])('%j is refused', (config) => {
  expect(a1111Schema.safeParse(config).success).toBe(false);
});
