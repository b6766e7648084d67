// Git for services that bring code to the machine.
export {
  GitBehindError,
  GitFailedError,
  GitInTheWayError,
  GitLockedError,
  GitRefError,
  GitRepositoryError,
  GitUrlError,
} from './errors.ts';
export { Git, type GitBranch, type GitCheckout } from './git.ts';
export type { GitChange } from './git-changes.ts';
export type { GitIdentity } from './git-commits.ts';
export type { GitSource } from './git-source.ts';
export { expectGitRef, expectGitUrl, isFullCommit, isLocalUrl } from './git-url.ts';
export type { GitConflict, GitRebase } from './rebase-apart.ts';
export type { GitOptions, GitProgress } from './run-git.ts';
