import type { ExportedFile } from './exported-file.ts';
import type { Installation } from './installation.ts';

/** Services that had a script of their own, in the order of a boot. */
export const initServices = ['nginx', 'ollama', 'comfyui', 'a1111', 'worker'] as const;
export type InitService = (typeof initServices)[number];

/**
 * Scripts for `/etc/init.d`: `service comfyui start 0`, as the hand has learnt it. Headers: LSB, "Init Script Comment Conventions";
 * without a runlevel, nothing starts by them at boot.
 */
export function initFiles(installation: Installation, services: readonly InitService[]): readonly ExportedFile[] {
  return services.map((name) => ({ name, content: script(name, installation), mode: 0o755 }));
}

function script(name: InitService, { config, node, program, root }: Installation): string {
  const machine = ['--root', root, ...(config === undefined ? [] : ['--config', config])];
  return `#!/bin/sh
### BEGIN INIT INFO
# Provides:          ${name}
# Required-Start:
# Required-Stop:
# Default-Start:
# Default-Stop:
# Short-Description: ${name} of the mgpu machine
### END INIT INFO
# Written by \`mgpu export init\`. \`service ${name} start 0\` asks the daemon, which has to run: \`mgpu up --detach\`.
# Where systemd runs, \`service\` drops the number: call the script, or mgpu, by name.
exec ${[node, program, ...machine, name].map(word).join(' ')} "$@"
`;
}

/** A word of a shell. */
const word = (text: string) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);
