import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { partPath } from '../download/part-file.ts';
import type { Ledger } from './ledger.ts';
import type { ModelInfo } from './models.ts';

export interface EvictionGoal {
  /** Frees at least so many bytes. */
  readonly freeBytes?: number;
  /** Leaves models of at most so many bytes. */
  readonly toBytes?: number;
  /** Also those that a list names; the next start brings them again. Default false. */
  readonly listed?: boolean;
}

export interface EvictionPlan {
  /** What goes, the least recently used first. */
  readonly models: readonly ModelInfo[];
  /** Bytes that are freed by it. */
  readonly bytes: number;
  /** Bytes that are missing to the goal: everything else is kept for a reason. 0 when the goal is met. */
  readonly missingBytes: number;
}

/**
 * Chooses what to evict: downloads that did not end and that no list names, then models that mgpu brought and can bring again,
 * the least recently used first.
 */
export function planEviction(
  models: readonly ModelInfo[],
  { freeBytes = 0, toBytes, listed = false }: EvictionGoal,
): EvictionPlan {
  const there = models.filter(({ state }) => state === 'present' || state === 'part');
  const total = totalBytes(there);
  const wanted = Math.max(freeBytes, toBytes === undefined ? 0 : total - toBytes);
  const candidates = there
    .filter(({ keptBecause, isListed }) => keptBecause === undefined && (listed || !isListed))
    .toSorted((a, b) => Number(b.state === 'part') - Number(a.state === 'part') || (a.usedMs ?? 0) - (b.usedMs ?? 0));
  const chosen: ModelInfo[] = [];
  let bytes = 0;
  for (const model of candidates) {
    if (bytes >= wanted) break;
    chosen.push(model);
    bytes += model.bytes;
  }
  return { models: chosen, bytes, missingBytes: Math.max(0, wanted - bytes) };
}

/** Removes what a plan chose. */
export async function evict({ models }: EvictionPlan, shared: string, ledger: Ledger): Promise<void> {
  for (const { path, state } of models) {
    const at = join(shared, path);
    if (state === 'part') {
      await rm(partPath(at), { force: true });
      await rm(`${partPath(at)}.json`, { force: true });
      continue;
    }
    await rm(at, { force: true });
    await ledger.set(path, undefined);
  }
}

/** Bytes on disk, a file of several names counted once. */
export function totalBytes(models: readonly ModelInfo[]): number {
  const seen = new Set<string>();
  let sum = 0;
  for (const { bytes, identity, path } of models) {
    if (seen.has(identity ?? path)) continue;
    seen.add(identity ?? path);
    sum += bytes;
  }
  return sum;
}
