import { readFile, rename, stat } from 'node:fs/promises';
import { type Clock, deadline, lastLines, writeFileAtomically } from '@mgpu/core';
import { ReloadFailedError } from './errors.ts';
import type { NginxFiles } from './files.ts';
import { statusProbe } from './status-socket.ts';

const patienceMs = 10_000;
const pauseMs = 20;

export interface ApplyOptions {
  readonly instance: string;
  /** Of nginx's master. */
  readonly pid: number;
  readonly files: NginxFiles;
  readonly generation: string;
  readonly logFile: string;
  readonly clock: Clock;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Makes the running nginx use `files.next`, and waits until it answers with it. Otherwise the former file is put back
 * and `NGINX_RELOAD_FAILED` thrown: nginx keeps what it had when it cannot use what it got.
 */
export async function applyConfig(options: ApplyOptions): Promise<void> {
  const { instance, pid, files, logFile, signal } = options;
  const former = await readFile(files.config, 'utf8');
  const { size } = await stat(logFile);
  await rename(files.next, files.config);
  try {
    process.kill(pid, 'SIGHUP');
    await untilServed(options);
  } catch (cause) {
    await writeFileAtomically(files.config, former);
    signal?.throwIfAborted();
    const said = await lastLines(logFile, { from: size, count: 3 });
    throw new ReloadFailedError({ instance, waitedMs: patienceMs, lastLines: said }, { cause });
  }
}

async function untilServed({ files, generation, clock, signal }: ApplyOptions): Promise<void> {
  const tooLate = () => new DOMException(`not in use after ${patienceMs} ms`, 'TimeoutError');
  using limit = deadline(clock, patienceMs, tooLate, signal);
  const probe = statusProbe(files.statusSocket, () => generation);
  while ((await probe.attempt({ signal: limit.signal })).outcome !== 'ok') {
    limit.signal.throwIfAborted();
    await clock.sleep(pauseMs, { signal: limit.signal });
  }
}
