import { createHash, randomBytes, randomUUID, timingSafeEqual } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { link, mkdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { ignore, type Layout, writeFileAtomically } from '@mgpu/core';
import { TokenUnusableError } from '../errors.ts';

/** What tells whether somebody knows the token, and who it was, without giving it away. */
export interface TokenSource {
  /** The first characters of the token's hash; undefined for another token. Throws `CONTROL_TOKEN`. */
  check(given: string): string | undefined;
}

const digestOf = (token: string): Buffer => createHash('sha256').update(token).digest();
const newToken = () => randomBytes(32).toString('base64url');
const fewest = 32;

/** Takes the same time, whatever of it is right. */
const checked = (given: string, digest: Buffer): string | undefined =>
  timingSafeEqual(digestOf(given), digest) ? digest.toString('hex').slice(0, 8) : undefined;

export function fixedToken(token: string): TokenSource {
  const digest = digestOf(token);
  return { check: (given) => checked(given, digest) };
}

export const tokenPath = ({ state }: Pick<Layout, 'state'>): string => join(state, 'http-token');

/** The token in its file of mode 0600; one is made where there is none. Throws `CONTROL_TOKEN`. */
export async function ensureToken(path: string): Promise<string> {
  await mkdir(dirname(path), { recursive: true });
  // Whole from its first moment on: the daemon and `mgpu token` may come at the same time.
  const draft = `${path}.${randomUUID()}`;
  await writeFile(draft, `${newToken()}\n`, { flag: 'wx', mode: 0o600 });
  await link(draft, path)
    .catch(ignore('EEXIST'))
    .finally(() => rm(draft, { force: true }));
  return readToken(path);
}

/** Makes a new token: the former one is worth nothing from the next request on. */
export async function rotateToken(path: string): Promise<string> {
  const token = newToken();
  await mkdir(dirname(path), { recursive: true });
  await writeFileAtomically(path, `${token}\n`, 0o600);
  return token;
}

function readToken(path: string): string {
  const refuse = (problem: string, cause?: unknown) => new TokenUnusableError({ source: path, problem }, { cause });
  try {
    const { mode } = statSync(path);
    if ((mode & 0o077) !== 0) throw refuse(`others may read it (mode ${(mode & 0o777).toString(8)})`);
    const token = readFileSync(path, 'utf8').trim();
    if (token.length < fewest) throw refuse(`it has ${token.length} characters, and needs ${fewest}`);
    return token;
  } catch (error) {
    if (error instanceof TokenUnusableError) throw error;
    throw refuse((error as Error).message, error);
  }
}

/** The token of a file that may be replaced at any time. */
export class TokenFile implements TokenSource {
  readonly #path: string;
  #known: { readonly version: string; readonly digest: Buffer } | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  check(given: string): string | undefined {
    return checked(given, this.#digest());
  }

  #digest(): Buffer {
    const facts = statSync(this.#path, { bigint: true, throwIfNoEntry: false });
    const version = `${facts?.ino} ${facts?.mtimeNs} ${facts?.size} ${facts?.mode}`;
    if (this.#known?.version !== version) this.#known = { version, digest: digestOf(readToken(this.#path)) };
    return this.#known.digest;
  }
}
