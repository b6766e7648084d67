import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import {
  type Clock,
  type KeepLogOptions,
  keepLog,
  type LogKeeper,
  type LogLine,
  type ReadLogOptions,
  readLog,
  readLogBatches,
  silentLogger,
  systemClock,
} from '@mgpu/core';
import { expect, onTestFinished } from 'vitest';
import { eventually, fixture, temporaryFolder } from '../support.ts';

/** A log of an instance on a root of its own. */
export interface Place {
  readonly root: string;
  readonly file: string;
}

export function place(root = temporaryFolder(), instance = 'program'): Place {
  const folder = join(root, instance, 'logs');
  mkdirSync(folder, { recursive: true });
  return { root, file: join(folder, 'output.log') };
}

/** Whether the head of a file can be taken out where temporary files lie. */
export const canCollapse = (() => {
  const folder = mkdtempSync('/tmp/mgpu-test-collapse');
  try {
    writeFileSync(join(folder, 'f'), Buffer.alloc(128 * 1024));
    return spawnSync('fallocate', ['--collapse-range', '-l', '65536', join(folder, 'f')]).status === 0;
  } finally {
    rmSync(folder, { recursive: true });
  }
})();

/** A folder on a memory file system, which cannot collapse; undefined where there is none. */
export function memoryFolder(): string {
  const path = mkdtempSync('/dev/shm/mgpu-test-');
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** A small memory file system of its own, for what happens when it is full. */
export function smallDisk(megabytes: number): string {
  const path = temporaryFolder();
  const { status } = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'none', path]);
  onTestFinished(() => void spawnSync('umount', ['--lazy', path]));
  expect(status).toBe(0);
  return path;
}

/** A small ext4 of its own: it can take out the head of a file, and be full. */
export function smallExt4(megabytes: number): string {
  const image = join(temporaryFolder(), 'image');
  writeFileSync(image, '');
  truncateSync(image, megabytes * 1024 * 1024);
  const path = temporaryFolder();
  expect(spawnSync('mkfs.ext4', ['-q', image]).status).toBe(0);
  expect(spawnSync('mount', ['-o', 'loop', image, path]).status).toBe(0);
  onTestFinished(() => void spawnSync('umount', ['--lazy', path]));
  return path;
}

/** Loop devices are missing in most containers. */
export const canMountImages = (() => {
  const folder = mkdtempSync('/tmp/mgpu-test-mount');
  const image = join(folder, 'image');
  writeFileSync(image, Buffer.alloc(2_000_000));
  mkdirSync(join(folder, 'at'));
  const can =
    spawnSync('mkfs.ext4', ['-q', image]).status === 0 &&
    spawnSync('mount', ['-o', 'loop', image, join(folder, 'at')]).status === 0;
  if (can) spawnSync('umount', [join(folder, 'at')]);
  rmSync(folder, { recursive: true });
  return can;
})();

export const canMount = (() => {
  const path = mkdtempSync('/tmp/mgpu-test-mount');
  const can = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'none', path]).status === 0;
  if (can) spawnSync('umount', ['--lazy', path]);
  rmSync(path, { recursive: true });
  return can;
})();

export const hurried = (factor: number): Clock => ({
  ...systemClock,
  elapsed: () => systemClock.elapsed() * factor,
  sleep: (ms, options) => systemClock.sleep(ms / factor, options),
});

/** Keeps the log until the test ends. Without other limits nothing is removed. */
export async function kept(at: Place, options: Partial<KeepLogOptions> = {}): Promise<LogKeeper> {
  const keeper = await keepLog({
    ...at,
    clock: hurried(500),
    log: silentLogger,
    ...options,
    limits: { keepArchives: 1_000_000, keepBytes: 1e12, totalBytes: 1e12, ...options.limits },
  });
  onTestFinished(() => keeper.close());
  return keeper;
}

/** Another process that appends numbered lines of 100 bytes to the log. */
export interface Writer {
  /** How many lines it wrote, once it has ended. */
  readonly count: Promise<number>;
  end(): void;
}

export function writerOf(
  { file }: Place,
  { count = 1e9, burst = 655, restMs = 0 }: { count?: number; burst?: number; restMs?: number },
): Writer {
  const output = openSync(file, 'a');
  const { file: program, args } = fixture('numbers-lines.mjs', count, burst, restMs);
  const child = spawn(program, args, { stdio: ['ignore', output, 'inherit', 'ipc'] });
  closeSync(output);
  onTestFinished(() => void child.kill('SIGKILL'));
  return { count: once(child, 'message').then(([written]) => written), end: () => void child.kill() };
}

export async function linesOf({ file }: Place, options: ReadLogOptions = {}): Promise<LogLine[]> {
  const lines: LogLine[] = [];
  for await (const line of readLog(file, options)) lines.push(line);
  return lines;
}

export const textsOf = async (at: Place, options: ReadLogOptions = {}) =>
  (await linesOf(at, options)).map(({ text }) => text);

/** The numbers of the lines, of which each must be whole. */
export function numberOf({ text }: LogLine): number {
  if (!/^\d{10} x{88}$/.test(text)) throw new Error(`not a line: ${JSON.stringify(text.slice(0, 200))}`);
  return Number(text.slice(0, 10));
}

/** Reads the log from its beginning, where each number has to come once, in order, with nothing missing. */
export async function expectNumbers(at: Place, count: number): Promise<void> {
  const numbers = new Numbers();
  for await (const lines of readLogBatches(at.file, { from: 0 })) numbers.take(lines);
  expect(numbers.next).toBe(count);
}

/** Follows the log from its beginning in the same way; resolves once it has come as far as this. */
export function followNumbers(at: Place): (count: number) => Promise<void> {
  const numbers = new Numbers();
  const end = new AbortController();
  const reading = (async () => {
    for await (const lines of readLogBatches(at.file, { from: 0, follow: true, signal: end.signal }))
      numbers.take(lines);
  })();
  let problem: unknown;
  reading.catch((error) => {
    problem = error;
  });
  return async (count) => {
    await eventually(() => numbers.next >= count || problem !== undefined, `line ${count}`, 50_000);
    end.abort();
    await reading;
    expect(numbers.next).toBe(count);
  };
}

class Numbers {
  next = 0;
  #end = 0;

  take(lines: readonly LogLine[]): void {
    for (const line of lines.filter(({ isPartial }) => !isPartial)) {
      if (numberOf(line) !== this.next || line.offset !== this.#end || line.lost !== undefined) {
        throw new Error(`expected line ${this.next} at ${this.#end}, got ${JSON.stringify(line)}`);
      }
      this.#end = line.end;
      this.next += 1;
    }
  }
}

export const filesOf = ({ root }: Place, instance = 'program') => readdirSync(join(root, instance, 'logs'));
export const archivesOf = (at: Place, instance?: string) =>
  filesOf(at, instance).filter((name) => name.endsWith('.gz'));

/** A keeper that looks when it is told, at a time that is told. */
export async function keeperAt(at: Place, start: number) {
  let time = start;
  let rounds: (() => void)[] = [];
  const clock = {
    now: () => time,
    elapsed: systemClock.elapsed,
    sleep: (_: number, { signal }: { signal?: AbortSignal | undefined } = {}) =>
      new Promise<void>((resolve, reject) => {
        rounds.push(resolve);
        signal?.addEventListener('abort', () => reject(signal.reason), { once: true });
      }),
  };
  const keeper = await keepLog({ ...at, clock, log: silentLogger });
  const wake = () => {
    for (const each of rounds.splice(0)) each();
    return false;
  };
  return {
    /** Appends, and lets the keeper see it at this time. */
    async append(now: number, text: string) {
      const before = sizeOf(at);
      appendFileSync(at.file, text);
      time = now;
      // A look that had begun before does not count.
      await eventually(() => sizeOf(at) > before || wake(), 'an entry of the index');
    },
    async look(now: number) {
      time = now;
      wake();
      await eventually(() => rounds.length > 0, 'the next round');
    },
    async close(now: number) {
      time = now;
      rounds = [];
      await keeper.close();
    },
  };
}

const sizeOf = ({ file }: Place) => statSync(`${file}.times`, { throwIfNoEntry: false })?.size ?? 0;
