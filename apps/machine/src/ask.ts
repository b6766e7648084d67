// The commands that only ask a machine or launch its daemon, in a bundle with the little they use of the packages: in modules
// they would start in twice the time. What builds or ends a machine comes as modules, which its plugins share.
export { detach } from './commands/detach.ts';
export { status } from './commands/status.ts';
export { finish, refuse } from './finish.ts';
