import { createHash, randomBytes } from 'node:crypto';

/** The predecessor's user; its `SERVER_CREDS` could be a password alone. */
const defaultUser = 'sd';
/** `$apr1$…`, `$2y$…`, `$6$…` of crypt(3), and `{SSHA}…` of RFC 2307: what nginx can check. */
const hashed = /^(?:\$[0-9a-z]+\$|\{(?:SSHA|SHA|PLAIN)\})/i;

/**
 * Lines for an htpasswd file: of `user:hash` as they are, of `user:password` and of a lone password (its user is "sd")
 * with the password hashed and salted.
 */
export function htpasswdLines(credentials: string): string[] {
  return linesOf(credentials).map((line) => {
    const colon = line.indexOf(':');
    const user = colon === -1 ? defaultUser : line.slice(0, colon);
    const secret = line.slice(colon + 1);
    return `${user}:${hashed.test(secret) ? secret : saltedHash(secret)}`;
  });
}

/** The lines that say something. */
export function linesOf(text: string): string[] {
  return text
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
}

function saltedHash(password: string): string {
  const salt = randomBytes(12);
  const digest = createHash('sha1').update(password).update(salt).digest();
  return `{SSHA}${Buffer.concat([digest, salt]).toString('base64')}`;
}
