import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { htpasswdLines } from './credentials.ts';

/** RFC 2307's {SSHA}: base64 of the SHA-1 of password and salt, followed by the salt. */
function matches(line: string, password: string): boolean {
  const bytes = Buffer.from(line.slice(line.indexOf('{SSHA}') + '{SSHA}'.length), 'base64');
  const [digest, salt] = [bytes.subarray(0, 20), bytes.subarray(20)];
  return createHash('sha1').update(password).update(salt).digest().equals(digest);
}

test('a lone password belongs to the user "sd", hashed', () => {
  const [line = ''] = htpasswdLines('secret');
  expect(line).toMatch(/^sd:\{SSHA\}/);
  expect(matches(line, 'secret')).toBe(true);
});

test('passwords are hashed with a salt of their own, colons belong to the password', () => {
  const [first = '', second = ''] = htpasswdLines('ann:a:b\r\nbob:a:b\n');
  expect(first).toMatch(/^ann:/);
  expect(matches(first, 'a:b') && matches(second, 'a:b')).toBe(true);
  expect(first.slice(4)).not.toBe(second.slice(4));
});

test('hashes and comments stay as they are', () => {
  const hashes = ['a:$apr1$salt$hash', 'b:$2y$05$hash', 'c:{SHA}hash'];
  expect(htpasswdLines(['# users', ...hashes, ''].join('\n'))).toEqual(hashes);
});
