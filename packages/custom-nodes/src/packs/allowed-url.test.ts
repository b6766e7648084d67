import { expect, test } from 'vitest';
import { isAllowedUrl, isSameUrl, plainUrl } from './allowed-url.ts';

test.each([
  ['https://host.invalid/me/pack', true],
  ['https://token@host.invalid/me/pack', true],
  ['git@host.invalid:me/pack', true],
  ['https://host.invalid/other/pack', false],
  ['https://host.invalid/me/../other/pack', false],
  ['https://host.invalid/me/%2e%2e/other/pack', false],
  ['https://host.invalid@evil.invalid/me/pack', false],
  ['http://host.invalid/me/pack', false],
  ['/srv/nodes/pack', true],
  ['/srv/nodes/../secret', false],
])('%s is allowed: %s', (url, allowed) => {
  expect(isAllowedUrl(url, ['https://host.invalid/me/*', 'git@host.invalid:me/*', '/srv/nodes/*'])).toBe(allowed);
});

test('credentials are not kept, and do not make another repository', () => {
  expect(plainUrl('https://user:secret@host.invalid/x')).toBe('https://host.invalid/x');
  expect(plainUrl('ssh://git@host.invalid/x')).toBe('ssh://git@host.invalid/x');
  expect(isSameUrl('https://token@host.invalid/x.git', 'https://host.invalid/x/')).toBe(true);
  expect(isSameUrl('https://host.invalid/x', 'https://host.invalid/y')).toBe(false);
});
