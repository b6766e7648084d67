import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Gpu, type InstanceStatus, readLogBatches } from '@mgpu/core';
import { expect } from 'vitest';
import { environmentOf, type Found, lives, markedProcesses, processesAround } from './processes.ts';

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

/** What a status must never say; `capMs`: the longest pause that the policy knows. */
export function contradictions(status: InstanceStatus, capMs: number): string[] {
  const { id, state, health, desired, until, pid, reason } = status;
  // Where too many restart at once, one waits for its turn beside its own pause.
  const isQueued = reason?.message.includes('the machine restarts enough already');
  const mostMs = state === 'failed' || isQueued ? longestCoolOffMs : capMs;
  return [
    ...(health !== 'unknown' && state !== 'running' ? [`${id} is ${health} while ${state}`] : []),
    ...(until !== undefined && desired === 'down' ? [`${id} is not wanted and yet to be started`] : []),
    ...(until !== undefined && Date.parse(until) - Date.now() > mostMs ? [`${id} is ${state} until ${until}`] : []),
    ...(pid !== undefined && (state === 'stopped' || state === 'completed') ? [`${id} is ${state} as ${pid}`] : []),
  ];
}

const longestCoolOffMs = 60 * 60_000;

/** Attempts are counted one by one, until somebody asks for the instance, or does not want it any more. */
export function miscounts(
  former: InstanceStatus | undefined,
  { id, state, desired, attempt }: InstanceStatus,
): string[] {
  if (former === undefined || attempt === former.attempt || attempt === former.attempt + 1) return [];
  // `mgpu up` asks for everything that does not run.
  const isAskedFor = attempt === 0 && (desired === 'down' || state !== 'running');
  return isAskedFor ? [] : [`${id}: attempt ${attempt} after ${former.attempt}, ${state}`];
}

/** GPUs that two living runs of one kind see, or an instance that sees another GPU than its own. */
export function sharedGpus(root: string, gpus: readonly Gpu[]): string[] {
  const found = markedProcesses(root).flatMap((each) => {
    const [, kind, index] = /^(.+)_gpu(\d+)$/.exec(each.instance ?? '') ?? [];
    const sees = environmentOf(each.pid, 'CUDA_VISIBLE_DEVICES');
    return kind === undefined || sees === undefined ? [] : [{ ...each, kind, gpu: gpus[Number(index)], sees }];
  });
  const strangers = found.filter(({ gpu, sees }) => sees !== (gpu?.mode === 'nvidia' ? gpu.uuid : ''));
  const holders = Map.groupBy(
    found.filter(({ sees }) => sees !== ''),
    ({ kind, sees }) => `${kind} on ${sees}`,
  );
  const crowded = [...holders].filter(([, each]) => new Set(each.filter(lives).map(({ run }) => run)).size > 1);
  return [
    ...strangers.map((each) => `${tell([each])} sees the GPU "${each.sees}"`),
    ...crowded.map(([what, each]) => `${what}: ${tell(each)}`),
  ];
}

/** How many lines each process of an instance has printed, by its own count. */
function linesCounted(root: string, instance: string): Map<string, number> {
  const folder = join(root, instance, 'said');
  const authors = list(folder).flatMap((run) => list(join(folder, run)).map((pid) => `${run}/${pid}`));
  return new Map(authors.map((author) => [author, statSync(join(folder, author)).size]));
}

/** Milliseconds a line's time may be late where nothing is said of it: a log that was quiet is looked at every five seconds. */
const lateMs = 7_000;
/** Milliseconds it may be early: as long as a look at the length of the log takes on a busy machine. */
const earlyMs = 1_000;

/**
 * The numbered lines of every process: each exactly once and in order, up to the last that it counted itself, and written
 * when the reader says. Returns how many of each. With `mayLose` some may be missing where the reader tells of a loss.
 */
export async function expectLinesWhole(
  root: string,
  instance: string,
  { mayLose = false }: { mayLose?: boolean } = {},
): Promise<Map<string, number>> {
  // Before the log is read: it may have more by then, not less.
  const counted = linesCounted(root, instance);
  const last = new Map<string, { n: number; losses: number }>();
  let losses = 0;
  for await (const lines of readLogBatches(join(root, instance, 'logs', 'output.log'))) {
    for (const { text, lost, isPartial, time, earliest = time - lateMs } of lines) {
      if (!mayLose) expect(lost, `bytes lost before "${text}"`).toBeUndefined();
      if (lost !== undefined) losses += 1;
      const [, n, author = '', at] = /^n=(\d+) of (\S+) at=(\d{13})/.exec(text) ?? [];
      if (n === undefined || isPartial) continue;
      const former = last.get(author) ?? { n: 0, losses: 0 };
      const isNext = former.losses === losses ? Number(n) === former.n + 1 : Number(n) > former.n;
      const isTimely = Number(at) >= earliest - earlyMs && Number(at) <= time + earlyMs;
      // An assertion for each of a million lines would take longer than all the rest.
      if (!isNext) expect(Number(n), `the number after ${former.n} of ${author}`).toBe(former.n + 1);
      if (!isTimely) expect({ earliest, time }, `time of line ${n} of ${author}, written at ${at}`).toBe(at);
      last.set(author, { n: Number(n), losses });
    }
  }
  // Where some are lost, the last may be among them; the daemon says so, and readers hear of it with the next line.
  for (const [author, lines] of mayLose ? [] : counted)
    expect(last.get(author)?.n ?? 0, `the last line of ${author}`).toBeGreaterThanOrEqual(lines);
  return new Map([...last].map(([author, { n }]) => [author, n]));
}

/** Every instance that ever printed a numbered line. */
export const speakersOf = (root: string): string[] =>
  list(root).filter((instance) => list(join(root, instance, 'said')).length > 0);

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
