import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { ControlClient, DaemonNotRunningError } from '@mgpu/control';
import { lastLines, reviveError, systemClock } from '@mgpu/core';
import { DaemonDiedError } from '../errors.ts';
import { BootView } from '../print/boot-view.ts';
import { statusText } from '../print/status-view.ts';
import type { Settings } from '../settings.ts';
import { type CommandContext, type ExitCode, exitCodes } from './command.ts';

const connectPauseMs = 25;

/** Starts a daemon of its own session and follows its boot to the end; a living one is asked to start what is missing. */
export async function detach(context: CommandContext, settings: Settings, args: readonly string[]): Promise<ExitCode> {
  const { output } = context;
  await using client = new ControlClient({ socketPath: settings.socketPath });
  if (await isRunning(client)) {
    await client.up({ signal: context.interrupted });
    const status = await client.status();
    output.data('Status', status);
    output.line(`already running\n\n${statusText(status, Date.now())}`);
    return status.instances.every(({ state }) => state === 'running' || state === 'completed')
      ? exitCodes.done
      : exitCodes.partly;
  }
  const daemon = startDaemon(settings, args);
  try {
    await untilListening(client, daemon, context.interrupted);
  } catch (error) {
    if (context.interrupted.aborted) daemon.stop();
    throw error;
  }
  const view = new BootView(output);
  for await (const event of client.events({ signal: context.interrupted })) {
    view.show(event);
    const ended = event.event === 'boot' || (event.event === 'snapshot' && event.data.state === 'running');
    if (!ended) continue;
    if (event.event === 'boot' && event.data.error) {
      await daemon.exited;
      throw reviveError(event.data.error);
    }
    const status = await client.status();
    output.data('Status', status);
    output.line(`\n${statusText(status, Date.now())}`);
    return exitCodes.done;
  }
  if (!context.interrupted.aborted) throw await diedError(daemon);
  // The person who pressed Ctrl-C wanted no machine.
  await client.down();
  return exitCodes.failed;
}

interface Daemon {
  readonly log: string;
  readonly exited: Promise<number | null>;
  readonly hasExited: () => boolean;
  /** Asks it to stop everything and end. */
  readonly stop: () => void;
}

function startDaemon({ layout, env }: Settings, args: readonly string[]): Daemon {
  mkdirSync(layout.logs, { recursive: true });
  const log = join(layout.logs, 'daemon.out');
  const file = openSync(log, 'w', 0o600);
  const child = spawn(process.execPath, [process.argv[1] ?? '', ...args], {
    detached: true,
    stdio: ['ignore', file, file],
    env,
  });
  closeSync(file);
  let done = false;
  const exited = new Promise<number | null>((resolve) => {
    child.once('exit', resolve);
    child.once('error', () => resolve(null));
  }).finally(() => {
    done = true;
  });
  return { log, exited, hasExited: () => done, stop: () => child.kill('SIGTERM') };
}

async function untilListening(client: ControlClient, daemon: Daemon, signal: AbortSignal): Promise<void> {
  while (!(await isRunning(client))) {
    if (daemon.hasExited()) throw await diedError(daemon);
    await systemClock.sleep(connectPauseMs, { signal });
  }
}

async function isRunning(client: ControlClient): Promise<boolean> {
  try {
    await client.status();
    return true;
  } catch (error) {
    if ((error as { code?: string }).code === DaemonNotRunningError.code) return false;
    throw error;
  }
}

async function diedError({ exited, log }: Daemon): Promise<InstanceType<typeof DaemonDiedError>> {
  return new DaemonDiedError({ exitCode: await exited, lastLines: await lastLines(log), log });
}
