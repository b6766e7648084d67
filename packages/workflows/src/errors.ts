import { defineError } from '@mgpu/core';

export const NoRepositoryError = defineError<{ dir: string }>({
  code: 'WORKFLOWS_NO_REPOSITORY',
  message: ({ dir }) => `${dir} is kept in step with nothing: it is no checkout, and no repository is named`,
  hint: 'set services.workflows.url',
});

export const OtherRepositoryError = defineError<{ dir: string; origin: string; url: string }>({
  code: 'WORKFLOWS_OTHER_REPOSITORY',
  message: ({ dir, origin, url }) => `${dir} is a checkout of ${origin}, which has nothing in common with ${url}`,
  hint: 'move the folder away to begin anew, or set services.workflows.url to its own repository',
});

export const OtherBranchError = defineError<{ dir: string; branch: string; found: string | undefined }>({
  code: 'WORKFLOWS_OTHER_BRANCH',
  message: ({ dir, branch, found }) =>
    `${dir} has ${found === undefined ? 'no branch' : `the branch ${found}`} checked out, not ${branch}`,
  hint: ({ branch }) => `git switch ${branch} there, or set services.workflows.branch`,
});

/** Somebody works in the checkout by hand; it is left to them. */
export const UnfinishedWorkError = defineError<{ dir: string; work: string }>({
  code: 'WORKFLOWS_UNFINISHED',
  retryable: true,
  message: ({ dir, work }) => `somebody's ${work} in ${dir} is not finished; nothing is done there until it is`,
  hint: ({ work }) => `finish it, or call it off with git ${work} --abort`,
});
