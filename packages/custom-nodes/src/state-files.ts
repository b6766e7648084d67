import { createHash } from 'node:crypto';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type ErrorReport, versionedFile, writeFileAtomically } from '@mgpu/core';
import { z } from 'zod';

const commit = z.string().regex(/^[0-9a-f]{40}$/);

const lockedNodeSchema = z.object({
  /** Without credentials. */
  url: z.string(),
  commit,
  enabled: z.boolean(),
  recursive: z.boolean(),
  /** SHA-256 of its requirements as they were given to the installer; null when it has none, or none are installed. */
  requirements: z.string().nullable(),
});

const lockSchema = z.object({
  nodes: z.record(z.string(), lockedNodeSchema),
  /** Versions of all that the nodes need, but for what is the engine's. */
  packages: z.record(z.string(), z.string()),
});

const formerSchema = z.object({ url: z.string(), commit, enabled: z.boolean(), recursive: z.boolean() });

const memorySchema = z.object({
  /** What the last successful installation of requirements was made from. */
  requirements: z.string().optional(),
  /** Scripts that were run, by node: what they were run for. */
  scripts: z.record(z.string(), z.string()),
  /** Failures that do not go away by themselves, by node, with what they followed from. */
  failures: z.record(z.string(), z.object({ inputs: z.string(), report: z.custom<ErrorReport>() })),
  /** While an apply changes nodes: what they were before; null when they were not there. */
  pending: z.record(z.string(), formerSchema.nullable()).optional(),
});

const packageChangeSchema = z.object({
  name: z.string(),
  from: z.string().exactOptional(),
  to: z.string().exactOptional(),
});

const previousSchema = z.object({
  lock: lockSchema.nullable(),
  packages: z.array(packageChangeSchema),
});

/** One node as the last apply left it. */
export type LockedNode = z.output<typeof lockedNodeSchema>;
/** `nodes.lock.json`: what the last apply made of the list; the same on every machine. */
export type NodesLock = z.output<typeof lockSchema>;
export type FormerNode = z.output<typeof formerSchema>;
export type Memory = z.output<typeof memorySchema>;
/** What a rollback goes back to. */
export type Previous = z.output<typeof previousSchema>;

export const emptyLock: NodesLock = { nodes: {}, packages: {} };

/** The files that an engine's nodes are remembered by. None is written when it would not change. */
export class StateFiles {
  readonly folder: string;

  constructor(folder: string) {
    this.folder = folder;
  }

  get lockPath(): string {
    return join(this.folder, 'nodes.lock.json');
  }

  readLock(): NodesLock | undefined {
    return versionedFile(this.lockPath, 1, lockSchema).read();
  }

  readMemory(): Memory {
    return versionedFile(this.#memoryPath, 1, memorySchema).read() ?? { scripts: {}, failures: {} };
  }

  readPrevious(): Previous | undefined {
    return versionedFile(this.#previousPath, 1, previousSchema).read();
  }

  /** Readable for everybody: it is meant to be taken along. */
  async writeLock(lock: NodesLock | null): Promise<void> {
    if (lock === null) await rm(this.lockPath, { force: true });
    else await this.#write(this.lockPath, lock, 0o644);
  }

  writeMemory(memory: Memory): Promise<void> {
    return this.#write(this.#memoryPath, memory);
  }

  writePrevious(previous: Previous): Promise<void> {
    return this.#write(this.#previousPath, previous);
  }

  async dropPrevious(): Promise<void> {
    await rm(this.#previousPath, { force: true });
  }

  get #memoryPath(): string {
    return join(this.folder, 'nodes.memory.json');
  }

  get #previousPath(): string {
    return join(this.folder, 'nodes.previous.json');
  }

  async #write(path: string, value: object, mode = 0o600): Promise<void> {
    const text = `${JSON.stringify({ v: 1, ...(sorted(value) as object) }, null, 2)}\n`;
    if ((await readFile(path, 'utf8').catch(() => undefined)) === text) return;
    await mkdir(this.folder, { recursive: true });
    await writeFileAtomically(path, text, mode);
  }
}

/** Keys in one order, so that the same content is the same bytes. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  const pairs = Object.entries(value).filter(([, item]) => item !== undefined);
  return Object.fromEntries(pairs.sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, item]) => [key, sorted(item)]));
}

/** SHA-256 of anything that is plain data. */
export const digest = (value: unknown): string =>
  createHash('sha256')
    .update(JSON.stringify(sorted(value)) ?? '')
    .digest('hex');
