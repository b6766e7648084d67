import { versionedFile } from '@mgpu/core';
import { z } from 'zod';
import { LockMissingError } from './errors.ts';

export const commitSchema = z.string().regex(/^[0-9a-f]{40}$/);

const lockedNodeSchema = z.object({
  /** Without credentials. */
  url: z.string(),
  commit: commitSchema,
  enabled: z.boolean(),
  recursive: z.boolean(),
  /** SHA-256 of its requirements as they were given to the installer; null when it has none, or none are installed. */
  requirements: z.string().nullable(),
});

// They become lines of a file that installers read: nothing but what names and versions are made of.
const packageNameSchema = z.string().regex(/^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/);
const versionSchema = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9.!+_-]*$/);

export const lockSchema = z.object({
  nodes: z.record(z.string(), lockedNodeSchema),
  /** Versions of all that the nodes need, but for what is the engine's. */
  packages: z.record(packageNameSchema, versionSchema),
});

/** One node as the last apply left it. */
export type LockedNode = z.output<typeof lockedNodeSchema>;
/** `nodes.lock.json`: what the last apply made of the list; the same on every machine. */
export type NodesLock = z.output<typeof lockSchema>;

export const emptyLock: NodesLock = { nodes: {}, packages: {} };

export const nodesLockFile = (path: string) => versionedFile(path, 1, lockSchema);

/** A lock that was brought along. Throws `NODES_LOCK_MISSING`, `CORE_FILE_INVALID`, `CORE_FILE_VERSION`. */
export function readNodesLock(path: string): NodesLock {
  const lock = nodesLockFile(path).read();
  if (!lock) throw new LockMissingError({ path });
  return lock;
}
