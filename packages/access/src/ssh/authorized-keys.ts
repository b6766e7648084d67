import { readFile } from 'node:fs/promises';
import { AuthorizedKeysError } from '../errors.ts';
import { publicKeyIn } from '../public-key.ts';
import type { SshConfig } from './config.ts';

type KeysConfig = Pick<SshConfig, 'authorizedKeys' | 'authorizedKeysFile'>;

/** Every line of the configuration and of its file, each once. Throws `ACCESS_AUTHORIZED_KEYS` naming the line that is no key. */
export async function readAuthorizedKeys({
  authorizedKeys,
  authorizedKeysFile,
}: KeysConfig): Promise<readonly string[]> {
  const own = checked(authorizedKeys, 'services.ssh.authorizedKeys');
  if (authorizedKeysFile === undefined) return own;
  const text = await readFile(authorizedKeysFile, 'utf8').catch((cause: NodeJS.ErrnoException) => {
    const problem = `it cannot be read (${cause.code})`;
    throw new AuthorizedKeysError({ source: authorizedKeysFile, problem }, { cause });
  });
  return [...new Set([...own, ...checked(text.split('\n'), authorizedKeysFile)])];
}

function checked(lines: readonly string[], source: string): readonly string[] {
  return lines.flatMap((given, index) => {
    const line = given.trim();
    if (line === '' || line.startsWith('#')) return [];
    const refuse = (problem: string) => new AuthorizedKeysError({ source, problem: `line ${index + 1} ${problem}` });
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
    if (/[\u0000-\u0008\u000a-\u001f]/.test(line)) throw refuse('has a line break or a control character in it');
    if (line.includes('PRIVATE KEY')) throw refuse('is part of a private key');
    if (!publicKeyIn(line)) throw refuse('is no public key, or not the whole of one');
    return [line];
  });
}
