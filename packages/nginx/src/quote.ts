import { ValueRefusedError } from './errors.ts';

// A control character could end a line of the log or the file; a `$` would be taken for a variable and cannot be escaped.
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
const dangerous = /[\u0000-\u001f\u007f$]/;

/** A value as one argument of an nginx directive. Throws `NGINX_VALUE_REFUSED` for what cannot be written as one. */
export function quote(what: string, value: string): string {
  const found = dangerous.exec(value)?.[0];
  if (found !== undefined) {
    throw new ValueRefusedError({ what, value, problem: `it contains ${JSON.stringify(found)}` });
  }
  return `"${value.replace(/[\\"]/g, '\\$&')}"`;
}
