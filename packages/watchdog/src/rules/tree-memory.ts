import type { TreeSample } from '../sources/process-trees.ts';
import { holdsSince } from './recent.ts';
import type { Rule } from './verdict.ts';

/** Milliseconds that a peak may last. */
const peakMs = 60_000;

/** One instance's processes above their ceiling (bytes) for longer than a peak: restarted between two jobs. */
export const treeMemory =
  (ceiling: number): Rule<TreeSample> =>
  (history) => {
    const last = history.at(-1);
    const since = holdsSince(history, ({ memoryBytes }) => memoryBytes > ceiling);
    if (last === undefined || since === undefined || last.at - since < peakMs) return [];
    const gib = (bytes: number) => `${(bytes / 1024 ** 3).toFixed(1)} GiB`;
    return [
      {
        rule: 'tree-memory',
        scope: 'process',
        subject: last.instance,
        severity: 'warning',
        action: 'restart-when-idle',
        reason: `${last.instance} takes ${gib(last.memoryBytes)} of memory, its ceiling is ${gib(ceiling)}`,
        hint: 'raise its ceiling if it needs that much, else look for a leak in what it has loaded',
        evidence: [`${last.memoryBytes} bytes in ${last.pids.length} processes`],
      },
    ];
  };
