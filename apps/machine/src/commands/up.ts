import { createDaemonLog } from '@mgpu/core';
import { Machine } from '../machine.ts';
import { BootView } from '../print/boot-view.ts';
import { statusText } from '../print/status-view.ts';
import { loadSettings, type Settings } from '../settings.ts';
import { type CommandContext, type ExitCode, exitCodes } from './command.ts';
import { detach } from './detach.ts';

/** Boots the machine and stays until it is stopped, or with `detach` returns when the boot has finished. */
export async function up(
  context: CommandContext,
  options: { detach: boolean; arguments: readonly string[] },
): Promise<ExitCode> {
  const settings = await loadSettings(context.settings);
  return options.detach ? detach(context, settings, options.arguments) : runDaemon(context, settings);
}

async function runDaemon({ output, interrupted, impatient }: CommandContext, settings: Settings): Promise<ExitCode> {
  const { level, maxSizeMiB, maxDays } = settings.config.logging;
  const { log, close } = createDaemonLog({ dir: settings.layout.logs, level, maxSizeMiB, maxDays });
  const machine = new Machine(settings, { log });
  const view = new BootView(output);
  machine.subscribe((event) => view.show(event));
  const stop = () => void machine.down({ force: impatient.aborted }).catch(() => {}); // reported where it is awaited below
  interrupted.addEventListener('abort', stop, { once: true });
  impatient.addEventListener('abort', stop, { once: true });
  try {
    await machine.boot();
    output.line(`\n${statusText(machine.status(), Date.now())}`);
    await machine.ended;
    await machine.down({ force: false });
    return exitCodes.done;
  } finally {
    await machine[Symbol.asyncDispose]();
    await close();
  }
}
