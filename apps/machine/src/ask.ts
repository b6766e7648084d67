// The commands that only ask a machine or launch its daemon, in a bundle with the little they use of the packages: in modules
// they would start in twice the time. What builds or ends a machine comes as modules, which its plugins share.
export { nearest } from '@mgpu/core';
export { detach } from './commands/detach.ts';
export { logs } from './commands/logs.ts';
export { operate } from './commands/operate.ts';
export { status } from './commands/status.ts';
export { liveWords } from './completion/live-words.ts';
export { finish, refuse } from './finish.ts';
export { bySelectors, ofService } from './selectors.ts';
