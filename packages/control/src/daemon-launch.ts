import { spawn } from 'node:child_process';
import { on } from 'node:events';
import { closeSync, mkdirSync, openSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type ErrorReport, type Layout, lastLines } from '@mgpu/core';
import type { MachineEvent } from './contract.ts';
import { DaemonDiedError } from './errors.ts';

/** What a daemon tells whoever launched it: notices, its boot, and the error it ends with when it cannot go on. */
export type DaemonNews =
  | MachineEvent
  | { readonly event: 'notice'; readonly text: string }
  | { readonly event: 'failed'; readonly error: ErrorReport };

export interface DaemonLaunch {
  /** Command line of the daemon. */
  readonly command: readonly [file: string, ...args: string[]];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly layout: Layout;
}

export interface LaunchedDaemon {
  /** Everything it tells; read once. Throws `CONTROL_DAEMON_DIED` when it ends without having said why. */
  news(): AsyncIterable<DaemonNews>;
  /** Resolves with its exit code, null after a signal. */
  readonly exited: Promise<number | null>;
  /** Asks it to stop everything and end; asked again, it kills. */
  stop(): void;
}

/** Set for a daemon of ours: other supervisors have a channel to what they start, too, and do not listen for news. */
const launchedName = 'MGPU_LAUNCHED';

/**
 * Launches a daemon in a session of its own; it goes on when its launcher ends. It tells of its boot over a channel that
 * only the two of them share: nothing it says is lost with its control socket or mistaken for another daemon's. What it
 * prints is appended to `logs/daemon.out`.
 */
export function launchDaemon({ command: [file, ...args], env, layout }: DaemonLaunch): LaunchedDaemon {
  mkdirSync(layout.logs, { recursive: true });
  const log = join(layout.logs, 'daemon.out');
  const output = openSync(log, 'a', 0o600);
  const from = statSync(log).size;
  const child = spawn(file, args, {
    detached: true,
    stdio: ['ignore', output, output, 'ipc'],
    env: { ...env, [launchedName]: 'yes' },
  });
  closeSync(output);
  const messages = on(child, 'message', { close: ['disconnect'] });
  const exited = new Promise<number | null>((resolve) => child.once('exit', resolve));
  return {
    exited,
    stop: () => void child.kill('SIGTERM'),
    async *news() {
      try {
        for await (const [news] of messages) yield news as DaemonNews;
        throw new DaemonDiedError({ exitCode: await exited, lastLines: await lastLines(log, { from }), log });
      } finally {
        if (child.connected) child.disconnect();
        child.unref();
      }
    },
  };
}

/**
 * How a launched daemon tells its news; undefined when nobody launched this process that way. Asked once: what this process
 * starts is launched by nobody, and its environment says so from then on.
 */
export function launcherOf(process: NodeJS.Process): ((news: DaemonNews) => Promise<void>) | undefined {
  const isLaunched = process.env[launchedName] !== undefined;
  delete process.env[launchedName];
  if (process.send === undefined || !isLaunched) return undefined;
  return (news) =>
    new Promise((resolve) => {
      // A launcher that is gone has lost interest; the daemon goes on.
      if (process.connected) process.send?.(news, undefined, undefined, () => resolve());
      else resolve();
    });
}
