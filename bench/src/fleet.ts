import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { findProgram } from '@mgpu/core';
import { leasePorts, type PortLease } from '@mgpu/core/testing';
import { processesWith } from './processes.ts';

/** A program that a supervisor is to run. */
export interface Program {
  readonly name: string;
  readonly command: readonly string[];
  /** Where it answers, if it does. */
  readonly port?: number;
}

/** What a program itself says of one of its starts; monotonic milliseconds, comparable with `now()`. */
export interface Stamp {
  readonly name: string;
  readonly pid: number;
  readonly beganMs: number;
  readonly answeringMs: number;
}

/** CLOCK_MONOTONIC in milliseconds, which the programs read, too. */
export const now = () => Number(process.hrtime.bigint()) / 1e6;

// The system's own before one in PATH, which may be a script that looks for another.
const python = await findProgram(['/usr/bin/python3', 'python3'], process.env);
if (python === undefined) throw new Error('the programs that are supervised need python3, which is not in PATH');
const interpreter = [python, '-I', '-S'];
const fixture = (name: string) => join(import.meta.dirname, '../fixtures', name);
const leaseSize = 40;
const patienceMs = 60_000;

/**
 * Programs with a folder of their own. Everything started with `env` carries its mark, so that whatever is left when the
 * fleet is disposed can be found and killed, and nothing else.
 */
export class Fleet implements Disposable {
  readonly folder: string;
  readonly programs: readonly Program[];
  readonly env: Readonly<Record<string, string>>;
  readonly #stamps: string;
  readonly #leases: readonly PortLease[];

  private constructor(leases: readonly PortLease[], programsOf: (stamps: string) => readonly Program[]) {
    this.folder = mkdtempSync(join(tmpdir(), 'mgpu-bench-'));
    this.#stamps = join(this.folder, 'stamps');
    this.#leases = leases;
    writeFileSync(this.#stamps, '');
    this.programs = programsOf(this.#stamps);
    this.env = { MGPU_BENCH: this.folder };
  }

  /** Small HTTP services, and after them one that prints numbered lines, so many a second. */
  static async ofServices(count: number, { ticker }: { readonly ticker?: number } = {}): Promise<Fleet> {
    const sizes = Array.from({ length: Math.ceil(count / leaseSize) }, (_, n) =>
      Math.min(leaseSize, count - n * leaseSize),
    );
    const leases = await Promise.all(sizes.map((size) => leasePorts(size)));
    const ports = leases.flatMap(({ first, count: size }) => Array.from({ length: size }, (_, n) => first + n));
    return new Fleet(leases, (stamps) => [
      ...ports.map((port, n) => {
        const name = `web-${n}`;
        return { name, port, command: [...interpreter, fixture('web.py'), stamps, name, String(port)] };
      }),
      ...(ticker === undefined
        ? []
        : [{ name: 'ticker', command: [...interpreter, fixture('ticker.py'), stamps, 'ticker', String(ticker)] }]),
    ]);
  }

  /** One program that prints `lines` lines of 100 bytes. */
  static ofFlood(lines: number): Fleet {
    return new Fleet([], (stamps) => [
      { name: 'flood', command: [...interpreter, fixture('flood.py'), stamps, 'flood', String(lines)] },
    ]);
  }

  /** Every start so far. */
  stamps(): Stamp[] {
    const lines = readFileSync(this.#stamps, 'utf8').split('\n').slice(0, -1);
    return lines.map((line) => {
      const [name = '', pid, began, answering] = line.split(' ');
      return { name, pid: Number(pid), beganMs: Number(began) / 1e6, answeringMs: Number(answering) / 1e6 };
    });
  }

  /** The latest start of each program, once all of them have one. */
  async up(): Promise<readonly Stamp[]> {
    const latest = () => new Map(this.stamps().map((stamp) => [stamp.name, stamp]));
    const { length } = this.programs;
    if (!(await until(() => latest().size === length, patienceMs)))
      throw new Error(`only ${latest().size} of ${length} programs answered within ${patienceMs / 1_000} s`);
    return [...latest().values()];
  }

  /** The first start of that program after a moment; undefined when there was none within the time. */
  async nextStart(name: string, afterMs: number, patience = patienceMs): Promise<Stamp | undefined> {
    const find = () => this.stamps().find((each) => each.name === name && each.beganMs > afterMs);
    await until(() => find() !== undefined, patience);
    return find();
  }

  /** Whoever runs the programs: everything of the fleet that is no program. */
  supervisors(): number[] {
    const programs = new Set(this.stamps().map(({ pid }) => pid));
    return processesWith(this.#mark).filter((pid) => !programs.has(pid));
  }

  [Symbol.dispose](): void {
    for (let left = processesWith(this.#mark); left.length > 0; left = processesWith(this.#mark)) {
      for (const pid of left) kill(pid, 'SIGKILL');
    }
    rmSync(this.folder, { recursive: true, force: true });
    for (const lease of this.#leases) lease[Symbol.dispose]();
  }

  get #mark(): string {
    return `MGPU_BENCH=${this.folder}`;
  }
}

/** False when it has ended already. */
export function kill(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal);
  } catch {
    return false;
  }
}

/** Looks every few milliseconds; what is measured is never read from this clock, but from the programs' stamps. */
export async function until(condition: () => boolean | Promise<boolean>, ms: number): Promise<boolean> {
  const end = now() + ms;
  while (!(await condition())) {
    if (now() > end) return false;
    await sleep(5);
  }
  return true;
}
