import { type DaemonNews, launcherOf } from '@mgpu/control';
import { createDaemonLog, reportError } from '@mgpu/core';
import { Machine } from '../machine.ts';
import { BootView } from '../print/boot-view.ts';
import { StopView } from '../print/stop-view.ts';
import { loadSettings, type Settings } from '../settings.ts';
import { type CommandContext, type ExitCode, exitCodes, type OnTerm } from './command.ts';

/** Boots the machine and stays until it is stopped. */
export async function up(context: CommandContext, onTerm: OnTerm): Promise<ExitCode> {
  const tell = launcherOf(process);
  try {
    const settings = await loadSettings(context.settings);
    for (const text of settings.notices) {
      context.output.notice(text);
      await tell?.({ event: 'notice', text });
    }
    return await runDaemon(context, settings, onTerm, tell);
  } catch (error) {
    await tell?.({ event: 'failed', error: reportError(error) });
    throw error;
  }
}

async function runDaemon(
  { output, interrupted, impatient }: CommandContext,
  settings: Settings,
  onTerm: OnTerm,
  tell?: (news: DaemonNews) => Promise<void>,
): Promise<ExitCode> {
  // Whoever launched us shows it in our place.
  const statusText = tell ? undefined : (await import('../print/status-view.ts')).statusText;
  const { level, maxSizeMiB, maxDays } = settings.config.logging;
  const { log, close } = createDaemonLog({ dir: settings.layout.logs, level, maxSizeMiB, maxDays });
  for (const notice of settings.notices) log.warn(notice);
  const machine = new Machine(settings, { log });
  const view = new BootView(output);
  machine.subscribe((event) => view.show(event));
  const tellNoMore = machine.subscribe((event) => void tell?.(event));
  const stop = () => {
    if (onTerm === 'keep') {
      void machine.leave().catch(() => {}); // as below
      return;
    }
    if (!impatient.aborted) {
      const stopping = new StopView(output, machine.status().instances);
      machine.subscribe((event) => stopping.show(event));
    }
    void machine.down({ force: impatient.aborted }).catch(() => {}); // reported where it is awaited below
  };
  interrupted.addEventListener('abort', stop, { once: true });
  impatient.addEventListener('abort', stop, { once: true });
  if (interrupted.aborted) stop();
  try {
    await machine.boot();
    tellNoMore();
    output.data('Status', machine.status());
    if (statusText) output.line(`\n${statusText(machine.status())}`);
    await machine.ended;
    await machine.down({ force: false });
    output.line(onTerm === 'keep' && interrupted.aborted ? 'left running' : 'stopped');
    return exitCodes.done;
  } finally {
    await machine[Symbol.asyncDispose]();
    await close();
  }
}
