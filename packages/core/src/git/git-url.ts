import { isAbsolute } from 'node:path';
import { redact } from '../logs/redact.ts';
import { GitRefError, GitUrlError } from './errors.ts';

const schemes = new Set(['https:', 'http:', 'ssh:', 'file:', 'git+ssh:']);
/** `user@host:path`, as ssh and scp have it. */
const scpLike = /^[\w.-]+@[\w.-]+:(?!\/\/)[^\s]+$/;

/**
 * Throws `CORE_GIT_URL` for what is no URL of a repository: options, transports that run programs (`ext::`), paths relative
 * to nobody knows what.
 */
export function expectGitUrl(url: string): void {
  const problem = whyNoUrl(url);
  if (problem !== undefined) throw new GitUrlError({ url: withoutSecret(url), problem });
}

function whyNoUrl(url: string): string | undefined {
  if (url.startsWith('-')) return 'it begins with "-" and would be taken for an option';
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  if (/[\s\u0000-\u001f]/.test(url)) return 'it has a space or a control character in it';
  if (isAbsolute(url) || scpLike.test(url)) return undefined;
  if (/^[\w+.-]+::/.test(url)) return 'it names a transport helper, which is a program';
  if (!URL.canParse(url)) return 'it is no URL';
  const { protocol, hostname } = new URL(url);
  if (!schemes.has(protocol)) return `${protocol.slice(0, -1)} is none of https, http, ssh and file`;
  if (hostname.startsWith('-')) return 'its host begins with "-" and would be taken for an option';
  return undefined;
}

/** True for what is on this machine. */
export const isLocalUrl = (url: string): boolean => isAbsolute(url) || url.startsWith('file:');

const refForm = /^(?!-)(?!.*(\.\.|@\{|\/\/|\.lock$|[/.]$))[\w][\w./+@-]*$/;

/** Throws `CORE_GIT_REF` for what cannot be the name of a branch, a tag or a commit. */
export function expectGitRef(url: string, ref: string): void {
  if (!refForm.test(ref))
    throw new GitRefError({ url: withoutSecret(url), ref, problem: 'that is no name Git allows' });
}

export const isFullCommit = (ref: string): boolean => /^[0-9a-f]{40}$/.test(ref);

/** For messages and logs. */
export const withoutSecret = (url: string): string => redact(url);
