import { daemonFlags } from '../daemon-flags.ts';
import type { Installation } from './installation.ts';

/** Arguments of Node for a daemon in the foreground: the same machine, whoever starts it and wherever. */
export function daemonArguments(
  { config, program, root }: Installation,
  { flags = [], options = [] }: { flags?: readonly string[]; options?: readonly string[] } = {},
): string[] {
  const named = config === undefined ? [] : ['--config', config];
  return [...daemonFlags, ...flags, program, '--root', root, ...named, 'up', ...options];
}
