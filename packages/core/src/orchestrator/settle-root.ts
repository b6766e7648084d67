import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../clock.ts';
import { UnkillableError } from '../errors/core-errors.ts';
import { ignore } from '../files/ignore.ts';
import type { Layout } from '../files/layout.ts';
import type { Logger } from '../logs/logger.ts';
import { processRecordFile } from '../process/process-record.ts';
import { environmentOf, isAlive, listProcesses } from '../process/process-table.ts';
import { instanceMarker, leaderless, runMarker } from '../process/process-tree.ts';
import { stopTree } from '../process/stop-tree.ts';
import { sweepLeftover } from '../process/sweep-leftover.ts';

export interface SettleOptions {
  readonly layout: Layout;
  /** Instances that are going to exist: what is theirs is left to them. Default: none are. */
  readonly planned?: ReadonlySet<string>;
  readonly clock: Clock;
  readonly log: Logger;
  /** Fires when nobody wants to wait: then they are killed. */
  readonly signal: AbortSignal;
  /** Gives them the time that they would have had from their daemon. Default: 2 s each. */
  readonly graceful?: boolean;
}

/**
 * Ends what daemons before us left on this root and nobody is going to take over: processes of instances that are not
 * planned any more, and processes that carry an instance's marker but are of no recorded run. Returns the instances of
 * what was there. Throws `CORE_INSTANCE_IN_USE` when the owner of one of them lives.
 */
export async function settleRoot({
  layout,
  planned = new Set(),
  clock,
  log,
  signal,
  graceful = false,
}: SettleOptions): Promise<readonly string[]> {
  const names = (await readdir(layout.run).catch(ignore('ENOENT'))) ?? [];
  const remembered = new Set(names.flatMap((name) => /^([^.]+)(?:\.state)?\.json$/.exec(name)?.[1] ?? []));
  const runs = new Set<string>();
  const ended = new Set<string>();
  await Promise.all(
    [...remembered].map(async (instance) => {
      const file = processRecordFile(layout.run, instance);
      if (planned.has(instance)) {
        const record = file.read();
        if (record) runs.add(record.run);
        return;
      }
      try {
        if (await sweepLeftover(file, { instance, clock, log, hurry: signal, graceful })) ended.add(instance);
      } catch (error) {
        if (!(error instanceof UnkillableError)) throw error;
        // What hangs in the kernel and nobody wants must not keep everything else from running. Its record stays.
        log.error(error.message, { instance, error });
        return;
      }
      // What else was kept of it, by whomever, means nothing any more.
      const rest = names.filter((name) => name.startsWith(`${instance}.`));
      await Promise.all(rest.map((name) => rm(join(layout.run, name), { force: true })));
    }),
  );
  for (const [run, instance] of straysOf(layout)) {
    if (runs.has(run)) continue;
    // It may have been begun, or adopted, while we looked.
    const record = processRecordFile(layout.run, instance).read();
    if (record?.run === run && isAlive(record.owner)) continue;
    log.warn(`${instance}: ending a process that no record knows`, { instance, run });
    try {
      await stopTree(leaderless(run), { instance, clock, log, stopSignal: 'SIGTERM', graceMs: 0, force: signal });
      ended.add(instance);
    } catch (error) {
      if (!(error instanceof UnkillableError)) throw error;
      log.error(error.message, { instance, error }); // as above
    }
  }
  return [...ended];
}

/** Runs of this root that have living processes, with the instance of each. */
function straysOf(layout: Layout): ReadonlyMap<string, string> {
  const begin = `${instanceMarker}=${join(layout.root, '/')}`;
  const found = new Map<string, string>();
  for (const { pid } of listProcesses()) {
    if (pid === process.pid) continue;
    const environment = environmentOf(pid);
    const instance = environment.find((each) => each.startsWith(begin))?.slice(begin.length);
    const run = environment.find((each) => each.startsWith(`${runMarker}=`))?.slice(runMarker.length + 1);
    if (instance && run) found.set(run, instance);
  }
  return found;
}
