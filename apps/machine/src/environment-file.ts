import { readFileSync } from 'node:fs';

const line = /^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=(.*)$/;

/**
 * Sets the variables of a file for this process and all that it starts, a `NAME=value` a line; one that is set already wins. A
 * value is the rest of its line, whatever is in it, but for quotes around all of it: nothing is expanded, and `#` begins a
 * comment at the beginning of a line alone, as with `docker run --env-file`. Throws the system's error for a file that cannot be
 * read, and a TypeError for a line that is none.
 */
export function loadEnvironmentFile(path: string, env: Record<string, string | undefined>): void {
  for (const [index, text] of readFileSync(path, 'utf8').split(/\r?\n/).entries()) {
    if (/^\s*(#|$)/.test(text)) continue;
    const [, name, value] = line.exec(text) ?? [];
    if (name === undefined || value === undefined) throw new TypeError(`line ${index + 1} is not NAME=value`);
    env[name] ??= unquoted(value.trim());
  }
}

const unquoted = (value: string) => /^(["'])(.*)\1$/s.exec(value)?.[2] ?? value;
