import { type DaemonNews, launcherOf } from '@mgpu/control';
import { createDaemonLog, reportError } from '@mgpu/core';
import { asInit } from '../as-init.ts';
import { leaveCaretaker } from '../caretaker.ts';
import { Machine } from '../machine.ts';
import { BootView } from '../print/boot-view.ts';
import { StopView } from '../print/stop-view.ts';
import { loadSettings, type Settings } from '../settings.ts';
import { type CommandContext, exitCodes, type OnTerm } from './command.ts';

export interface UpOptions {
  readonly onTerm: OnTerm;
  /** Milliseconds that what is kept may be without a daemon; without it, for ever. */
  readonly keepForMs?: number | undefined;
  /** Exit code when everything was stopped because somebody wanted it. Default 0. */
  readonly stoppedCode?: number | undefined;
}

/** Boots the machine and stays until it is stopped. */
export async function up(context: CommandContext, options: UpOptions): Promise<number> {
  const tell = launcherOf(process);
  try {
    const loaded = await loadSettings(context.settings);
    const settings = process.pid === 1 ? { ...loaded, notices: [...loaded.notices, asInit] } : loaded;
    for (const text of settings.notices) {
      context.output.notice(text);
      await tell?.({ event: 'notice', text });
    }
    return await runDaemon(context, settings, options, tell);
  } catch (error) {
    await tell?.({ event: 'failed', error: reportError(error) });
    throw error;
  }
}

async function runDaemon(
  { output, interrupted, impatient }: CommandContext,
  settings: Settings,
  { onTerm, keepForMs, stoppedCode = exitCodes.done }: UpOptions,
  tell?: (news: DaemonNews) => Promise<void>,
): Promise<number> {
  // Whoever launched us shows it in our place.
  const statusText = tell ? undefined : (await import('../print/status-view.ts')).statusText;
  const { level, maxSizeMiB, maxDays } = settings.config.logging;
  const { log, close } = createDaemonLog({ dir: settings.layout.logs, level, maxSizeMiB, maxDays });
  for (const notice of settings.notices) log.warn(notice);
  const machine = new Machine(settings, { log });
  const view = new BootView(output);
  machine.subscribe((event) => view.show(event));
  const tellNoMore = machine.subscribe((event) => void tell?.(event));
  let hasLeft = false;
  const leave = () => {
    if (machine.status().state === 'stopping') return;
    hasLeft = true;
    void machine.leave().catch(() => {}); // as below
  };
  // Whoever can say that it is going to start another daemon says it this way.
  process.on('SIGUSR2', leave);
  const stop = () => {
    if (onTerm === 'keep') return leave();
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
    if (statusText) output.line(`\n${statusText(machine.status(), { width: output.width, now: Date.now() })}`);
    await machine.ended;
    await machine.down({ force: false });
    output.line(hasLeft ? 'left running' : 'stopped');
    return hasLeft ? exitCodes.done : stoppedCode;
  } finally {
    await machine[Symbol.asyncDispose]();
    // The root is free by now: whoever comes before the caretaker is a daemon that goes on.
    if (hasLeft && interrupted.aborted && keepForMs !== undefined)
      await leaveCaretaker({ layout: settings.layout, afterMs: keepForMs, env: settings.env });
    await close();
  }
}
