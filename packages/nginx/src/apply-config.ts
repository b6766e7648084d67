import { readFile, rename } from 'node:fs/promises';
import { deadline, lastLines, logEnd, writeFileAtomically } from '@mgpu/core';
import { ReloadFailedError } from './errors.ts';
import type { NginxFiles } from './files.ts';
import type { LiveRun } from './live-config.ts';
import { statusProbe } from './status-socket.ts';

const patienceMs = 10_000;
const pauseMs = 20;

export interface ApplyOptions {
  readonly instance: string;
  readonly files: NginxFiles;
  readonly run: LiveRun;
  readonly generation: string;
}

/**
 * Makes the running nginx use `files.next`, and waits until it answers with it. Otherwise the former file is put back
 * and `NGINX_RELOAD_FAILED` thrown: nginx keeps what it had when it cannot use what it got.
 */
export async function applyConfig(options: ApplyOptions): Promise<void> {
  const { instance, files, run } = options;
  const former = await readFile(files.config, 'utf8');
  const { offset: from } = logEnd(run.logFile);
  await rename(files.next, files.config);
  try {
    run.hangUp();
    await untilServed(options);
  } catch (cause) {
    await writeFileAtomically(files.config, former);
    run.signal.throwIfAborted();
    // It may have taken the new one after all, only too late.
    run.hangUp();
    const said = await lastLines(run.logFile, { from, count: 3 });
    throw new ReloadFailedError({ instance, waitedMs: patienceMs, lastLines: said }, { cause });
  }
}

async function untilServed({ files, generation, run }: ApplyOptions): Promise<void> {
  const tooLate = () => new DOMException(`not in use after ${patienceMs} ms`, 'TimeoutError');
  using limit = deadline(run.clock, patienceMs, tooLate, run.signal);
  const probe = statusProbe(files.statusSocket, () => generation);
  while ((await probe.attempt({ signal: limit.signal })).outcome !== 'ok') {
    limit.signal.throwIfAborted();
    await run.clock.sleep(pauseMs, { signal: limit.signal });
  }
}
