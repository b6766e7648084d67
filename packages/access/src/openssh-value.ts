import { PathNotWritableInConfigError } from './errors.ts';

/** A path as ssh_config(5) and sshd_config(5) take it: in quotation marks, its percent signs no tokens. Throws `ACCESS_PATH_UNUSABLE`. */
export function opensshPath(path: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  if (/["\\\u0000-\u001f]/.test(path)) throw new PathNotWritableInConfigError({ path });
  return `"${path.replaceAll('%', '%%')}"`;
}
