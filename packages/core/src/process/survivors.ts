import { readdirSync } from 'node:fs';
import type { Clock } from '../clock.ts';
import type { Layout } from '../files/layout.ts';
import { type ProcessRecord, processRecordFile } from './process-record.ts';
import { bootId, isAlive } from './process-table.ts';

/** A process of ours that outlived its daemon. */
export interface Survivor {
  readonly instance: string;
  readonly pid: number;
  readonly ports: readonly number[];
  /** ISO time. */
  readonly startedAt: string;
}

/** The processes that are recorded on this root and live though whoever watched them is dead. Changes nothing, needs no daemon. */
export function survivorsOn({ run }: Layout, clock: Clock): Survivor[] {
  return recordsIn(run).flatMap((record) => {
    if (record.state !== 'spawned' || record.bootId !== bootId()) return [];
    if (!isAlive(record) || isAlive(record.owner)) return [];
    const { instance, pid, ports, startedAt } = record;
    return [
      {
        instance,
        pid,
        ports: ports.map(({ port }) => port),
        startedAt: new Date(clock.now() - (clock.elapsed() - startedAt)).toISOString(),
      },
    ];
  });
}

function recordsIn(run: string): ProcessRecord[] {
  return namesIn(run).flatMap((name) => {
    const instance = /^([^.]+)\.json$/.exec(name)?.[1];
    if (instance === undefined) return [];
    try {
      return processRecordFile(run, instance).read() ?? [];
    } catch {
      return []; // of a newer mgpu: whoever is to take it over, or to end it, says so
    }
  });
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}
