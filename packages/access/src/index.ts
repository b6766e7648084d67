export { type GitAccessConfig, gitAccessSchema } from './git/config.ts';
export { gitAccess } from './git/definition.ts';
export { type GitAccessOptions, GitAccessService } from './git/git-access-service.ts';
export { type PreparedGitAccess, type PrepareOptions, prepareGitAccess } from './git/prepare-git-access.ts';
export { AuthorizedKeysService } from './ssh/authorized-keys-service.ts';
export { type SshConfig, sshSchema } from './ssh/config.ts';
export { ssh } from './ssh/definition.ts';
export { type SshServerOptions, SshServerService } from './ssh/ssh-server-service.ts';
