import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { InstanceStatus, LogLine } from '@mgpu/core';
import { expect } from 'vitest';
import { type Found, lives, markedProcesses, processesAround } from './processes.ts';

/** Two runs of one instance that live at the same moment, which must never be. */
export function doubleRuns(root: string): string[] {
  const found = markedProcesses(root);
  const byInstance = Map.groupBy(found, ({ instance }) => instance);
  return [...byInstance].flatMap(([instance, processes]) => {
    const runs = Map.groupBy(processes, ({ run }) => run);
    if (runs.size < 2) return [];
    // Each was seen, but maybe not at the same moment: one that ended before the last was looked at proves nothing.
    const [first, second] = [...runs.values()].map((each) => each.filter(lives)).filter((each) => each.length > 0);
    if (!first?.some(lives) || !second?.some(lives)) return [];
    return [`${instance} lives twice: ${tell(first)} and ${tell(second)}`];
  });
}

/** Living processes of a run that no record knows: nobody would ever end them. */
export function orphans(root: string): string[] {
  const suspects = markedProcesses(root).filter((each) => !isRecorded(root, each));
  // Its record may have gone with it.
  return suspects
    .filter((each) => lives(each) && !isRecorded(root, each))
    .map((each) => `no record knows ${tell([each])}`);
}

function isRecorded(root: string, { run }: Found): boolean {
  return recordsOf(root).some((record) => record.run === run);
}

export interface Record {
  readonly instance: string;
  readonly run: string;
  readonly state: 'intent' | 'spawned';
  /** The daemon. */
  readonly owner: { readonly pid: number };
  readonly pid?: number;
  readonly startTime?: number;
}

export function recordsOf(root: string): Record[] {
  return list(join(root, 'run'))
    .filter((name) => /^[^.]+\.json$/.test(name))
    .flatMap((name) => {
      try {
        return [JSON.parse(readFileSync(join(root, 'run', name), 'utf8'))];
      } catch {
        return []; // removed meanwhile
      }
    });
}

/** What a status must never say. */
export function contradictions(status: InstanceStatus): string[] {
  const { id, state, health, desired, until, pid } = status;
  return [
    ...(health !== 'unknown' && state !== 'running' ? [`${id} is ${health} while ${state}`] : []),
    ...(until !== undefined && desired === 'down' ? [`${id} is not wanted and yet to be started`] : []),
    ...(until !== undefined && Date.parse(until) - Date.now() > longestDelayMs ? [`${id} waits until ${until}`] : []),
    ...(pid !== undefined && (state === 'stopped' || state === 'completed') ? [`${id} is ${state} as ${pid}`] : []),
  ];
}

/** The longest cool-off. */
const longestDelayMs = 60 * 60_000 * 1.2;

/** The numbered lines of every process, each exactly once and in order; returns how many of each. */
export async function expectLinesWhole(batches: AsyncIterable<readonly LogLine[]>): Promise<Map<string, number>> {
  const last = new Map<string, number>();
  for await (const lines of batches) {
    for (const { text, lost, isPartial } of lines) {
      expect(lost, `bytes lost before "${text}"`).toBeUndefined();
      const [, n, author = ''] = /^n=(\d+) of (\S+)/.exec(text) ?? [];
      if (n === undefined || isPartial) continue;
      const former = last.get(author) ?? 0;
      // An assertion for each of a million lines would take longer than all the rest.
      if (Number(n) !== former + 1) expect(Number(n), `the number after ${former} of ${author}`).toBe(former + 1);
      last.set(author, Number(n));
    }
  }
  return last;
}

/** After `mgpu down`: no process, socket, lock, record or shared memory, and no folder among the temporary ones. */
export function expectNothingLeft(root: string, former: ReadonlySet<number>): void {
  expect(
    processesAround(root).map((each) => tell([each])),
    'processes',
  ).toEqual([]);
  expect(list(join(root, 'run')), 'sockets, records and states').toEqual([]);
  expect(list(join(root, 'state', 'locks')), 'locks').toEqual([]);
  const sockets = readFileSync('/proc/net/unix', 'utf8');
  expect(
    sockets.split('\n').filter((line) => line.includes(`${root}/`)),
    'open sockets',
  ).toEqual([]);
  const key = createHash('sha256').update(root).digest('hex').slice(0, 16);
  expect(
    list(tmpdir()).filter((name) => name.startsWith('mgpu-') && name.endsWith(key)),
    'private folders',
  ).toEqual([]);
  expect(sharedMemoryOf(former), 'shared memory').toEqual([]);
}

/** Segments that one of these processes made. */
function sharedMemoryOf(pids: ReadonlySet<number>): string[] {
  if (!existsSync('/proc/sysvipc/shm')) return [];
  const [, ...rows] = readFileSync('/proc/sysvipc/shm', 'utf8').trim().split('\n');
  const segments = rows.filter((row) => pids.has(Number(row.trim().split(/\s+/)[4])));
  const files = list('/dev/shm').filter((name) =>
    [...pids].some((pid) => new RegExp(`(^|\\D)${pid}(\\D|$)`).test(name)),
  );
  return [...segments, ...files];
}

const tell = (processes: readonly Found[]) =>
  processes
    .map(({ pid, command, instance = 'nobody', run = '?' }) => `${pid} (${command}) of ${instance}, run ${run}`)
    .join(', ');

function list(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return []; // not there
  }
}
