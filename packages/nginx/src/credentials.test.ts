import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { usersOfCredentials, usersOfFile } from './credentials.ts';

/** RFC 2307's {SSHA}: base64 of the SHA-1 of password and salt, followed by the salt. */
function matches(line: string, password: string): boolean {
  const bytes = Buffer.from(line.slice(line.indexOf('{SSHA}') + '{SSHA}'.length), 'base64');
  const [digest, salt] = [bytes.subarray(0, 20), bytes.subarray(20)];
  return createHash('sha1').update(password).update(salt).digest().equals(digest);
}

const refuse = (problem: string) => new Error(problem);
const credentials = (text: string) => usersOfCredentials(text, refuse);
const file = (text: string) => usersOfFile(text, refuse);
const hashes = ['a:$apr1$salt$hash', 'b:$2y$05$hash', 'c:{SHA}hash'];

test.each(['secret', '#secret'])('a lone password belongs to the user "sd", hashed: %s', (password) => {
  const [line = ''] = credentials(password);
  expect(line).toMatch(/^sd:\{SSHA\}/);
  expect(matches(line, password)).toBe(true);
});

test('passwords are hashed with a salt of their own, colons belong to the password', () => {
  const [first = '', second = ''] = credentials('ann:a:b\r\nbob:a:b\n');
  expect(first).toMatch(/^ann:/);
  expect(matches(first, 'a:b') && matches(second, 'a:b')).toBe(true);
  expect(first.slice(4)).not.toBe(second.slice(4));
});

test('hashes stay as they are, comments of a file go', () => {
  expect(credentials(hashes.join('\n'))).toEqual(hashes);
  expect(file(['# users', '', ...hashes, ''].join('\n'))).toEqual(hashes);
});

test.each([
  [file, '# users\n\nann secret', 'line 3 is not `user:hash`'],
  [file, 'a:{SHA}hash\nann:secret', 'line 2 has no hash that says its kind'],
  [credentials, 'ann:secret\n:secret', 'line 2 has no user name without blanks before its colon'],
  [credentials, '\nann:', 'line 2 has no password'],
])('a line nobody could come in with is refused with its number', (read, text, problem) => {
  expect(() => read(text)).toThrow(problem);
});
