import { readdirSync, readFileSync } from 'node:fs';
import { type Clock, listProcesses, type ProcessFacts, processTreeOf, readProcess, residentBytes } from '@mgpu/core';
import { fieldsOf, kilobytes } from './host-memory.ts';

/** An instance's process with all it started. */
export interface ProcessTree {
  readonly instance: string;
  /** Its leader. */
  readonly pid: number;
  /** Bytes above which the exact memory is worth its cost: the kernel walks through all of it. Default: never. */
  readonly exactAbove?: number | undefined;
}

/** What a tree takes of the machine. */
export interface TreeSample {
  /** Monotonic milliseconds. */
  readonly at: number;
  readonly instance: string;
  readonly pids: readonly number[];
  /** Resident memory: shared pages count once for each process. Exact (PSS) above `exactAbove`, as far as it may be read. */
  readonly memoryBytes: number;
  /** The process that is nearest to its limit of open files; undefined where none could be read. */
  readonly files: { readonly pid: number; readonly open: number; readonly limit: number } | undefined;
  /** Those that wait in the kernel and cannot be killed (state D). */
  readonly stuck: readonly number[];
}

/**
 * Samples of the trees whose leader lives: its session, and the children of those. One reading of the process table
 * serves all.
 */
export function sampleTrees(trees: readonly ProcessTree[], clock: Clock): TreeSample[] {
  const processes = listProcesses();
  return trees.flatMap(({ instance, pid, exactAbove = Number.POSITIVE_INFINITY }) => {
    const members = processTreeOf(pid, processes);
    if (!members.some((each) => each.pid === pid)) return [];
    const stuck = members.filter(({ state }) => state === 'D').map((each) => each.pid);
    const resident = sum(members.map((each) => residentBytes(each.pid)));
    const exact = resident > exactAbove ? sum(members.map((each) => exactBytes(each))) : resident;
    const pids = members.map((each) => each.pid);
    return [{ at: clock.elapsed(), instance, pids, memoryBytes: exact, files: fullest(pids), stuck }];
  });
}

/** A process and those it comes from, nearest first: the leader of its session, its parents. */
export function lineageOf(pid: number): number[] {
  const lineage = [pid];
  for (let facts = readProcess(pid); facts && facts.pid > 1; facts = readProcess(facts.parent))
    lineage.push(facts.session, facts.parent);
  return lineage;
}

function exactBytes({ pid, state }: ProcessFacts): number {
  // It may hold its memory's lock: reading would wait for it as well.
  if (state === 'D') return residentBytes(pid);
  return kilobytes(fieldsOf(read(`/proc/${pid}/smaps_rollup`)).get('Pss')) ?? residentBytes(pid);
}

function fullest(pids: readonly number[]): TreeSample['files'] {
  const counts = pids.flatMap((pid) => {
    const limit = /^Max open files\s+(\d+)/m.exec(read(`/proc/${pid}/limits`))?.[1];
    const open = countEntries(`/proc/${pid}/fd`);
    return limit === undefined || open === undefined ? [] : [{ pid, open, limit: Number(limit) }];
  });
  return counts.toSorted((a, b) => b.open / b.limit - a.open / a.limit)[0];
}

const sum = (values: readonly number[]) => values.reduce((total, each) => total + each, 0);

function countEntries(path: string): number | undefined {
  try {
    return readdirSync(path).length;
  } catch {
    return undefined; // gone meanwhile, or somebody else's
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return ''; // gone meanwhile, or somebody else's
  }
}
