import type { TreeSample } from '../sources/process-trees.ts';
import { holdsSince } from './recent.ts';
import type { Rule } from './verdict.ts';

/** Milliseconds: a process waits in the kernel for a moment all the time. */
const longMs = 60_000;

/** A process that has waited in the kernel for a minute: it cannot be killed, a driver or a file system does not answer. */
export const stuckProcess: Rule<TreeSample> = (history) => {
  const last = history.at(-1);
  if (last === undefined) return [];
  const stuck = last.stuck.filter((pid) => {
    const since = holdsSince(history, (sample) => sample.stuck.includes(pid));
    return since !== undefined && last.at - since >= longMs;
  });
  if (stuck.length === 0) return [];
  return [
    {
      rule: 'stuck-process',
      scope: 'process',
      subject: last.instance,
      severity: 'error',
      action: 'record',
      reason: `${last.instance} hangs in the kernel, pid ${stuck.join(', ')}`,
      hint: 'look into the kernel log; a GPU driver or a network file system that hangs needs a reboot',
      evidence: stuck.map((pid) => `pid ${pid}: state D`),
    },
  ];
};
