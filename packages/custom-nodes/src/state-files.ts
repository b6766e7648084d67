import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type ErrorReport, versionedFile, writeFileAtomically } from '@mgpu/core';
import { z } from 'zod';
import { documentText } from './canonical.ts';
import { commitSchema, lockSchema, type NodesLock, nodesLockFile } from './nodes-lock.ts';

const formerSchema = z.object({ url: z.string(), commit: commitSchema, enabled: z.boolean(), recursive: z.boolean() });

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

export type FormerNode = z.output<typeof formerSchema>;
export type Memory = z.output<typeof memorySchema>;
/** What a rollback goes back to. */
export type Previous = z.output<typeof previousSchema>;

/** What is remembered of failures and scripts in one place is remembered in the other from then on. */
export async function takeOverMemory(from: { readonly state: string }, to: { readonly state: string }): Promise<void> {
  await new StateFiles(to.state).writeMemory(new StateFiles(from.state).readMemory());
}

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
    return nodesLockFile(this.lockPath).read();
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
    const text = documentText(value);
    if ((await readFile(path, 'utf8').catch(() => undefined)) === text) return;
    await mkdir(this.folder, { recursive: true });
    await writeFileAtomically(path, text, mode);
  }
}
