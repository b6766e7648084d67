import { randomUUID } from 'node:crypto';
import { lstat, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readInside } from './read-inside.ts';

type Variables = Readonly<Record<string, string | undefined>>;

/** The text of an `.env`: `${VAR}` replaced by that variable, without any shell. `missing` are those that are not set. */
export function renderEnv(
  wanted: Readonly<Record<string, string>>,
  variables: Variables,
): { text: string; missing: string[] } {
  const missing = new Set<string>();
  const lines = Object.entries(wanted).map(([key, template]) => {
    const value = template.replace(/\$\{(\w+)\}/g, (_, name: string) => {
      if (variables[name] === undefined) missing.add(name);
      return variables[name] ?? '';
    });
    return `${key}=${quoted(value)}\n`;
  });
  return { text: lines.join(''), missing: [...missing] };
}

/** Plain where every reader of such files takes it as it stands. */
const quoted = (value: string): string =>
  /^[^\s'"#\\`$]*$/.test(value) ? value : `'${value.replace(/[\\']/g, '\\$&')}'`;

/** What stands in a pack's `.env`; undefined when there is none that can be read. */
export const readEnvFile = (pack: string): Promise<string | undefined> =>
  readInside(pack, '.env').catch(() => undefined);

/**
 * Writes `.env` in a pack's folder, mode 0600, the whole of it or nothing; false when it is so already. A link of that name
 * is replaced, never followed.
 */
export async function writeEnvFile(pack: string, text: string): Promise<boolean> {
  const path = join(pack, '.env');
  const there = await lstat(path).catch(() => undefined);
  const isSame = there?.isFile() && (there.mode & 0o777) === 0o600 && there.size === Buffer.byteLength(text);
  if (isSame && (await readFile(path, 'utf8')) === text) return false;
  const draft = join(pack, `.env.${randomUUID()}`);
  try {
    await writeFile(draft, text, { mode: 0o600, flag: 'wx', flush: true });
    await rename(draft, path);
  } finally {
    await rm(draft, { force: true });
  }
  return true;
}
