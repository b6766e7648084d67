import { createHash, randomBytes } from 'node:crypto';

/** The predecessor's user; its `SERVER_CREDS` could be a password alone. */
const defaultUser = 'sd';
/** `$apr1$…`, `$2y$…`, `$6$…` of crypt(3), and `{SSHA}…` of RFC 2307: what nginx can check and tells from a password. */
const hashed = /^(?:\$[0-9a-z]+\$|\{(?:SSHA|SHA|PLAIN)\})/i;

/** Makes the error for a line that nobody could come in with. */
type Refuse = (problem: string) => Error;

/** The users of an htpasswd file as they are; its comments are left out. */
export function usersOfFile(text: string, refuse: Refuse): string[] {
  return numberedLines(text)
    .filter(([line]) => !line.startsWith('#'))
    .map(([line, number]) => {
      const secret = /^[^:\s]+:(\S+)/.exec(line)?.[1];
      if (secret === undefined) throw refuse(`line ${number} is not \`user:hash\``);
      // nginx would take a plain password for a hash, and refuse its user for ever.
      if (!hashed.test(secret)) throw refuse(`line ${number} has no hash that says its kind`);
      return line;
    });
}

/** Users in place as lines of an htpasswd file: a hash stays, a password (alone it is the user "sd"'s) is hashed and salted. */
export function usersOfCredentials(text: string, refuse: Refuse): string[] {
  return numberedLines(text).map(([line, number]) => {
    const colon = line.indexOf(':');
    const user = colon === -1 ? defaultUser : line.slice(0, colon);
    const secret = line.slice(colon + 1);
    if (!/^\S+$/.test(user)) throw refuse(`line ${number} has no user name without blanks before its colon`);
    if (secret === '') throw refuse(`line ${number} has no password`);
    return `${user}:${hashed.test(secret) ? secret : saltedHash(secret)}`;
  });
}

/** The lines that are not empty, with their numbers. */
function numberedLines(text: string): [line: string, number: number][] {
  return text
    .split(/\r?\n/)
    .map((line, index): [string, number] => [line.trim(), index + 1])
    .filter(([line]) => line !== '');
}

function saltedHash(password: string): string {
  const salt = randomBytes(12);
  const digest = createHash('sha1').update(password).update(salt).digest();
  return `{SSHA}${Buffer.concat([digest, salt]).toString('base64')}`;
}
