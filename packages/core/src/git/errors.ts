import { defineError } from '../errors/define-error.ts';

export const GitUrlError = defineError<{ url: string; problem: string }>({
  code: 'CORE_GIT_URL',
  message: ({ url, problem }) => `the repository ${url} is not used: ${problem}`,
  hint: 'give an https, ssh (also user@host:path) or file URL, or an absolute path; no other program is ever run for one',
});

export const GitRefError = defineError<{ url: string; ref: string; problem: string }>({
  code: 'CORE_GIT_REF',
  message: ({ url, ref, problem }) => `${url} cannot be had at ${JSON.stringify(ref)}: ${problem}`,
  hint: 'name a branch, a tag or a commit that the repository has',
});

/** Nobody is there, or not for us: trying again without changing something is no use. */
export const GitRepositoryError = defineError<{ url: string; problem: string; refused: boolean }>({
  code: 'CORE_GIT_REPOSITORY',
  message: ({ url, problem, refused }) =>
    refused ? `${url} refuses us: ${problem}` : `there is no repository at ${url}: ${problem}`,
  hint: ({ refused }) =>
    refused
      ? 'give this machine a deploy key or credentials for it; nobody is asked for a password here'
      : 'check the URL; a private repository may look like a missing one',
});

export const GitFailedError = defineError<{ url: string; action: string; problem: string; transient: boolean }>({
  code: 'CORE_GIT_FAILED',
  retryable: ({ transient }) => transient,
  message: ({ url, action, problem }) => `${url} could not be ${action}: ${problem}`,
  hint: ({ transient }) => (transient ? 'the network or the server may be at fault: try again' : undefined),
});

/** Files that Git does not keep lie where the other state has some. */
export const GitInTheWayError = defineError<{ url: string; files: readonly string[] }>({
  code: 'CORE_GIT_IN_THE_WAY',
  message: ({ url, files }) => `${url} could not be checked out: it would overwrite ${files.slice(0, 5).join(', ')}`,
  hint: 'move these files away, or commit them',
});

/** Somebody else pushed meanwhile: fetch, rebase and push again. */
export const GitBehindError = defineError<{ url: string }>({
  code: 'CORE_GIT_BEHIND',
  retryable: true,
  message: ({ url }) => `${url} did not take the push: somebody else pushed meanwhile`,
  hint: 'fetch, rebase on what is there, and push again',
});

/** Another Git works in the checkout, or one that was killed left its lock. */
export const GitLockedError = defineError<{ url: string; lock: string }>({
  code: 'CORE_GIT_LOCKED',
  retryable: true,
  message: ({ url, lock }) => `another Git is at work in ${url}: it holds ${lock}`,
  hint: 'wait until it has ended; when none runs, remove the file',
});
