import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { statSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { findProgram, runCommand } from '@mgpu/core';
import type { Fleet } from '../fleet.ts';

export interface SupervisorOptions {
  /** Whether the programs' output is kept; mgpu always keeps it. */
  readonly logs?: boolean;
  /** Where it answers over HTTP. Default: nowhere, or by its own rules. */
  readonly httpPort?: number;
}

/** One way to run a fleet, at its best settings. */
export interface Supervisor {
  /** With its version. */
  readonly name: string;
  /** Writes the configuration; nothing runs yet. */
  deploy(fleet: Fleet, options?: SupervisorOptions): Promise<Deployment>;
}

export interface Deployment {
  /** Starts daemon and programs; resolves when the command says so, or at once where nothing says it. */
  start(): Promise<void>;
  /** Asks by command how all of them are. */
  status(): Promise<void>;
  /** Bytes of output that can be read by now. */
  captured(): Promise<number>;
  stop(): Promise<void>;
}

/** A supervisor that is not here, and why. */
export interface Absent {
  readonly name: string;
  readonly why: string;
}

/** The paths of programs that are a supervisor's; undefined when one is not here. */
export async function programs<N extends string>(...names: readonly N[]): Promise<Record<N, string> | undefined> {
  const found = await Promise.all(names.map(async (name) => [name, await findProgram([name], process.env)]));
  return found.every(([, path]) => path !== undefined) ? Object.fromEntries(found) : undefined;
}

const limitMs = 120_000;

await runCommand('true', []); // the first command loads a library, which no measurement is to pay for

/** Whose programs, and what they inherit. */
type Whose = Pick<Fleet, 'folder' | 'env'>;

/** Runs a command to its end; throws when it fails. */
export async function call([file = '', ...args]: readonly string[], { folder, env }: Whose): Promise<void> {
  const result = await runCommand(file, args, { cwd: folder, env, timeoutMs: limitMs });
  if (result.ok) return;
  const why = result.timedOut ? `took over ${limitMs} ms` : (result.spawnError ?? `ended with ${result.exitCode}`);
  throw new Error(`${file} ${args.join(' ')} ${why}: ${result.stderr || result.stdout}`);
}

/** A daemon that stays in the foreground. */
export interface Daemon {
  readonly pid: number | undefined;
  /** Resolves when it is gone. */
  stop(signal: NodeJS.Signals): Promise<void>;
}

export function daemon([file = '', ...args]: readonly string[], { folder, env }: Whose): Daemon {
  const options = { cwd: folder, env: { ...process.env, ...env }, stdio: 'ignore', detached: true } as const;
  const child = spawn(file, args, options);
  const ended = once(child, 'exit');
  ended.catch(() => {}); // told by whoever stops it
  return {
    pid: child.pid,
    async stop(signal) {
      child.kill(signal);
      await ended;
    },
  };
}

const noOutput = new Set(['config', 'lock', 'state']);

/** Size of all output in a folder; rotation moves it while we look. */
export async function bytesIn(folder: string): Promise<number> {
  const names = (await readdir(folder)).filter((name) => !noOutput.has(name));
  const sizes = names.map((name) => statSync(join(folder, name), { throwIfNoEntry: false })?.size ?? 0);
  return sizes.reduce((sum, size) => sum + size, 0);
}
