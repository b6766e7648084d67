import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  type Clock,
  logLineProbe,
  MgpuError,
  type Probes,
  ProcessService,
  type ProcessSpec,
  type ServiceContext,
  systemClock,
} from '@mgpu/core';
import { temporaryFolder as openTemporaryFolder, type TestContextOptions, testContext } from '@mgpu/core/testing';
import { onTestFinished } from 'vitest';

export interface ProgramConfig {
  readonly spec: ProcessSpec;
  readonly probes?: Probes;
}

/** A process service whose command is its configuration. */
export class Program extends ProcessService<ProgramConfig> {
  protected override command(): ProcessSpec {
    return this.config.spec;
  }

  protected override probes(): Probes {
    return this.config.probes ?? {};
  }
}

/** Milliseconds that are many even when a hurried clock divides them. */
export const plentyMs = 200_000;

/** Ready when the program printed a line that begins with `up`. */
export const whenUp: Probes = { startup: { probe: logLineProbe(/^up/), deadlineMs: plentyMs, intervalMs: 10 } };

/** A fixture as a command of Node. */
export function fixture(name: string, ...args: (string | number)[]): { file: string; args: string[] } {
  return { file: process.execPath, args: [join(import.meta.dirname, 'fixtures', name), ...args.map(String)] };
}

/** A program in a context of its own; both are gone when the test ends. */
export function program(
  config: ProgramConfig,
  options: Partial<TestContextOptions> & Partial<Pick<ServiceContext, 'survive'>> = {},
): { service: Program; context: ServiceContext } {
  const { survive = true, ...rest } = options;
  const held = testContext({ kind: 'program', ...rest });
  const context = { ...held, survive };
  const service = new Program(config, context);
  onTestFinished(async () => {
    await service.stop({ force: true }).catch(() => {}); // what the test provoked
    held[Symbol.dispose]();
  });
  return { service, context };
}

export function temporaryFolder(): string {
  const folder = openTemporaryFolder();
  onTestFinished(() => folder[Symbol.dispose]());
  return folder.path;
}

/** Looks until there is an answer; throws after `ms`. */
export async function eventually<T>(look: () => T | undefined | false, what = 'it', ms = 10_000): Promise<T> {
  const end = performance.now() + ms;
  for (;;) {
    const answer = look();
    if (answer !== undefined && answer !== false) return answer;
    if (performance.now() > end) throw new Error(`${what} did not happen within ${ms} ms`);
    await systemClock.sleep(5);
  }
}

/** False for zombies, too. */
export function isAlive(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) Z/s.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

/** Session, group and start time of a process, as `/proc` says. */
export function factsOf(pid: number): { group: number; session: number; startTime: number } {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return { group: Number(fields[2]), session: Number(fields[3]), startTime: Number(fields[19]) };
}

/** The file is there a moment before its content. */
export const readPid = (file: string) =>
  eventually(() => (existsSync(file) && Number(readFileSync(file, 'utf8'))) || undefined, file);

/** Ends a process that a test deliberately left outside of everybody's reach; never another one that got its number. */
export function killAtEnd(pid: number): number {
  const startTime = isAlive(pid) ? factsOf(pid).startTime : undefined;
  onTestFinished(() => {
    if (isAlive(pid) && factsOf(pid).startTime === startTime) process.kill(pid, 'SIGKILL');
  });
  return pid;
}

/** Time runs faster: waits of seconds become those of a test. */
export const hurriedClock = (factor: number): Clock => ({
  now: () => systemClock.now(),
  elapsed: () => systemClock.elapsed() * factor,
  sleep: (ms, options) => systemClock.sleep(ms / factor, options),
});

/** What a promise was rejected with. */
export async function failureOf(promise: Promise<unknown>): Promise<{
  code: string;
  message: string;
  hint?: string;
  retryable: boolean;
  details: Record<string, unknown>;
  cause?: unknown;
}> {
  return promise.then(
    (value) => {
      throw new Error(`expected a failure, got ${JSON.stringify(value)}`);
    },
    (error) => error,
  );
}

export function readRecord(context: ServiceContext): Record<string, unknown> | undefined {
  const path = join(context.layout.run, `${context.id}.json`);
  return existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : undefined;
}

/** Whole numbers below `n`, random but the same for the same seed. */
export function seeded(seed: number): (n: number) => number {
  let state = seed;
  return (n) => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return Math.floor((state / 2_147_483_648) * n);
  };
}

export const broken = (message = 'broken') => new MgpuError(message, { code: 'TEST_BROKEN' });
