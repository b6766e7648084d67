// Git for services that bring code to the machine.
export { GitFailedError, GitInTheWayError, GitRefError, GitRepositoryError, GitUrlError } from './errors.ts';
export { Git, type GitCheckout, type GitOptions, type GitProgress, type GitSource } from './git.ts';
export { expectGitRef, expectGitUrl, isFullCommit, isLocalUrl } from './git-url.ts';
