import { GitPluginError } from 'simple-git';
import type { MgpuError } from '../errors/mgpu-error.ts';
import { redact } from '../logs/redact.ts';
import { GitBehindError, GitFailedError, GitInTheWayError, GitLockedError, GitRepositoryError } from './errors.ts';

// Words of Git, curl and ssh; nothing else tells these cases apart.
const refusals =
  /marked as read only|authentication failed|could not read (username|password)|permission denied|access denied|HTTP 40[13]|returned error: 40[13]/i;
const missing = /not found|does not (appear to be a git repository|exist)|no such (file|device)|returned error: 404/i;
/** Somebody else pushed since we looked, or at this very moment. */
const behind =
  /\[rejected\].*\((fetch first|non-fast-forward|stale info)\)|cannot lock ref .* but expected|incorrect old value/;
const transients =
  /could not resolve|unable to connect|failed to connect|connection (reset|refused|timed out|closed)|operation timed out|early EOF|remote end hung up|returned error: (429|5\d\d)|temporar|gnutls|SSL_|curl \d+/i;

/** What Git said, as one of our errors. `url` names the repository and has no secret in it. */
export function asFailure(
  error: Error,
  { url, action, stallMs }: { url: string; action: string; stallMs: number },
): MgpuError {
  const obstacles = /would be overwritten by (?:checkout|merge):\n((?:\t.+\n?)+)/.exec(error.message)?.[1];
  if (obstacles !== undefined) {
    const files = obstacles.trim().split(/\s*\n\s*/);
    return new GitInTheWayError({ url, files }, { cause: error });
  }
  if (error instanceof GitPluginError && error.plugin === 'timeout') {
    const problem = `nothing was heard for ${stallMs / 1_000} s`;
    return new GitFailedError({ url, action, problem, transient: true }, { cause: error });
  }
  if (behind.test(error.message)) return new GitBehindError({ url }, { cause: error });
  const lock = /unable to create '(.+\.lock)': File exists/i.exec(error.message)?.[1];
  if (lock !== undefined) return new GitLockedError({ url, lock }, { cause: error });
  const problem = reasonIn(error.message);
  if (refusals.test(problem)) return new GitRepositoryError({ url, problem, refused: true }, { cause: error });
  // Before "does not exist": a host that cannot be found may be back in a minute.
  if (transients.test(problem)) return new GitFailedError({ url, action, problem, transient: true }, { cause: error });
  if (missing.test(problem)) return new GitRepositoryError({ url, problem, refused: false }, { cause: error });
  return new GitFailedError({ url, action, problem, transient: false }, { cause: error });
}

/** The lines that say why, progress left out. */
function reasonIn(output: string): string {
  const lines = redact(output)
    .split(/[\r\n]+/)
    .map((line) => line.trim())
    .filter(Boolean);
  const telling = lines.filter((line) =>
    /^((fatal|error|remote|ssh|ERROR)\b|! \[|\S+@\S+: |Host key |Connection |kex_)/.test(line),
  );
  return (telling.length > 0 ? telling : lines.slice(-3)).slice(0, 4).join(' | ').slice(0, 500) || 'git gave no reason';
}
