import type { Finding } from './define-service.ts';

/** The oldest version that will do, such as `6.2`, and what to do about an older one. */
export interface RequiredVersion {
  readonly oldest: string;
  readonly hint: string;
}

/** What is to be said about the version of a program or a server; without a version, that it does not tell it. */
export function versionFinding(
  subject: string,
  version: string | undefined,
  { oldest, hint }: RequiredVersion,
): Finding {
  if (version === undefined) return { level: 'warning', message: `${subject} does not tell its version` };
  if (version.localeCompare(oldest, 'en', { numeric: true }) >= 0)
    return { level: 'ok', message: `${subject} ${version}` };
  return { level: 'error', message: `${subject} is version ${version}, older than ${oldest}`, hint };
}
