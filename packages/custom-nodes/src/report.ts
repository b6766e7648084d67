import type { MgpuError } from '@mgpu/core';
import type { PackageChange } from '@mgpu/core/python';

/**
 * What is done with a node. `clone`: it is new; `update`: to another commit; `switch`: to another repository; `enable` and
 * `disable`: it is put into its place or aside; `remove`; `none`: it is as it should be, or nothing can be done.
 */
export type NodeAction = 'clone' | 'update' | 'switch' | 'enable' | 'disable' | 'remove' | 'none';

/** What an apply would do with a node. */
export interface NodePlan {
  readonly name: string;
  readonly action: NodeAction;
  readonly url?: string;
  /** Commit that is checked out. */
  readonly from?: string;
  /** Commit that it would be brought to; unknown for an abbreviated one that is not there yet. */
  readonly to?: string;
  /** Why nothing can be done: then it is left as it is. */
  readonly blocked?: MgpuError;
  /** The reason is that of an earlier apply, under the same circumstances: it is not tried again by itself. */
  readonly isRemembered?: true;
  readonly notes: readonly string[];
}

export interface NodesPlan {
  readonly nodes: readonly NodePlan[];
  /** What would change among the packages; undefined when that is known only once new commits are there. */
  readonly packages: readonly PackageChange[] | undefined;
  readonly warnings: readonly string[];
  /** True when an apply would change nothing. */
  readonly isSettled: boolean;
}

/** What became of a node. */
export interface NodeResult {
  readonly name: string;
  /** `skipped`: there was nothing to do. */
  readonly status: 'done' | 'skipped' | 'failed';
  readonly action: NodeAction;
  readonly from?: string;
  /** Commit that is checked out now. */
  readonly commit?: string;
  readonly error?: MgpuError;
  /** The failure is that of an earlier apply, told again. */
  readonly isRemembered?: true;
  /** What else there is to know: stashed edits, lines left out, variables that are not set. */
  readonly notes: readonly string[];
}

export interface NodesReport {
  readonly outcome: 'done' | 'unchanged' | 'partly failed' | 'failed';
  readonly nodes: readonly NodeResult[];
  /** What was changed among the packages. */
  readonly packages: readonly PackageChange[];
  readonly warnings: readonly string[];
  /** One line. */
  readonly summary: string;
}

export interface NodesProgress {
  readonly step: 'look' | 'fetch' | 'resolve' | 'install' | 'script';
  readonly node?: string;
  readonly message: string;
}

interface Outcome {
  readonly commit: string | undefined;
  readonly isChanged: boolean;
  readonly error: MgpuError | undefined;
  readonly notes: readonly string[];
}

export function resultOf(
  { name, action, from, isRemembered }: NodePlan,
  { commit, isChanged, error, notes }: Outcome,
): NodeResult {
  return {
    name,
    status: error ? 'failed' : isChanged ? 'done' : 'skipped',
    action,
    ...(from === undefined ? {} : { from }),
    ...(commit === undefined ? {} : { commit }),
    ...(error ? { error } : {}),
    ...(isRemembered ? { isRemembered } : {}),
    notes,
  };
}

export function reportOf(
  nodes: readonly NodeResult[],
  { packages, warnings }: { packages: readonly PackageChange[]; warnings: readonly string[] },
): NodesReport {
  const count = (status: NodeResult['status']) => nodes.filter((node) => node.status === status).length;
  const [done, skipped, failed] = [count('done'), count('skipped'), count('failed')];
  const parts = [
    [done, 'done'],
    [skipped, 'as they should be'],
    [failed, 'failed'],
    [packages.length, packages.length === 1 ? 'package changed' : 'packages changed'],
  ] as const;
  const told = parts.filter(([number]) => number > 0).map(([number, word]) => `${number} ${word}`);
  return {
    outcome: outcomeOf({ done: done + packages.length, skipped, failed }),
    nodes,
    packages,
    warnings,
    summary: `${nodes.length} ${nodes.length === 1 ? 'node' : 'nodes'}: ${told.join(', ') || 'nothing to do'}`,
  };
}

function outcomeOf({
  done,
  skipped,
  failed,
}: {
  done: number;
  skipped: number;
  failed: number;
}): NodesReport['outcome'] {
  if (failed > 0) return done + skipped > 0 ? 'partly failed' : 'failed';
  return done > 0 ? 'done' : 'unchanged';
}
