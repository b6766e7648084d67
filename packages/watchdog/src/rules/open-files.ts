import type { OpenFilesSample } from '../sources/open-files.ts';
import type { TreeSample } from '../sources/process-trees.ts';
import { machine, type Rule } from './verdict.ts';

/** Share of a limit, 0 to 1. */
const warnAt = 0.8;
const stopAt = 0.95;
/** Once stopped: jobs are taken again below. */
const resumeAt = 0.9;

/** A process near its limit of open files: a leak, mostly, that a restart cures before everything in it fails. */
export const processFiles: Rule<TreeSample> = (history) => {
  const last = history.at(-1);
  if (!last?.files) return [];
  const { pid, open, limit } = last.files;
  if (open < limit * warnAt) return [];
  return [
    {
      rule: 'process-files',
      scope: 'process',
      subject: last.instance,
      severity: open < limit * stopAt ? 'warning' : 'error',
      action: open < limit * stopAt ? 'record' : 'restart-when-idle',
      reason: `${last.instance} has ${open} files open of the ${limit} it may have`,
      hint: 'raise the limit (`ulimit -n`) if it needs that many, else it leaks them',
      evidence: [`pid ${pid}: ${open} of ${limit}`],
    },
  ];
};

/** The machine near its limit of open files: soon nothing can be opened by anybody. `stopped`: whether intake is stopped for it now. */
export const hostFiles: Rule<OpenFilesSample & { readonly stopped: boolean }> = (history) => {
  const last = history.at(-1);
  if (last === undefined || last.open < last.limit * warnAt) return [];
  const { open, limit, stopped } = last;
  const stop = open >= limit * (stopped ? resumeAt : stopAt);
  return [
    {
      rule: 'host-files',
      scope: 'host',
      subject: machine,
      severity: stop ? 'critical' : 'warning',
      action: stop ? 'stop-intake' : 'record',
      reason: `the machine has ${open} files open of the ${limit} it may have`,
      hint: 'find who holds them with `lsof`, or raise `fs.file-max`',
      evidence: [`file-nr: ${open} of ${limit}`],
    },
  ];
};
