import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { findProgram, type Logger, loggerTo } from '@mgpu/core';
import { temporaryFolder as openTemporaryFolder } from '@mgpu/core/testing';
import { onTestFinished } from 'vitest';

export const hasSshd = (await findProgram(['sshd'], process.env)) !== undefined;

export const user = userInfo().username;

export function temporaryFolder(): string {
  const folder = openTemporaryFolder('access-');
  onTestFinished(() => folder[Symbol.dispose]());
  return folder.path;
}

/** The environment of somebody with an empty home. */
export const environmentIn = (home: string): Readonly<Record<string, string | undefined>> => ({
  PATH: process.env.PATH,
  HOME: home,
  GIT_CONFIG_NOSYSTEM: '1',
});

export interface KeyPair {
  readonly file: string;
  readonly secret: string;
  readonly open: string;
}

export function makeKey(dir: string, name: string, { passphrase = '' } = {}): KeyPair {
  const file = join(dir, name);
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', passphrase, '-C', name, '-f', file]);
  return { file, secret: readFileSync(file, 'utf8'), open: readFileSync(`${file}.pub`, 'utf8').trim() };
}

/** What is logged, everything that comes with it included. */
export function listening(): { log: Logger; lines: string[] } {
  const lines: string[] = [];
  return {
    lines,
    log: loggerTo((level, message, fields) => void lines.push(`${level}: ${message} ${JSON.stringify(fields)}`)),
  };
}

/** Any piece of the key that would be worth something to somebody. */
export const piecesOf = ({ secret }: KeyPair): readonly string[] =>
  secret.split('\n').filter((line) => line.length > 40 && !line.startsWith('-----'));
