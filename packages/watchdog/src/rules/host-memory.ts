import type { HostMemorySample } from '../sources/host-memory.ts';
import { machine, type Rule } from './verdict.ts';

/** Shares of the memory there is, 0 to 1. */
export interface MemoryLimits {
  readonly warnBelow: number;
  /** New jobs are refused. */
  readonly stopBelow: number;
  /** Once refused, jobs are taken again from here on. */
  readonly resumeAbove: number;
}

/** Percent of the time that all work waits for memory: the machine is thrashing, whatever it calls available. */
const thrashing = 25;
const calm = 5;

/** Memory of the machine, or of our container, that comes to its end. `stopped`: whether intake is stopped for it now. */
export const hostMemory =
  ({ warnBelow, stopBelow, resumeAbove }: MemoryLimits): Rule<HostMemorySample & { readonly stopped: boolean }> =>
  (history) => {
    const last = history.at(-1);
    if (last === undefined) return [];
    const { availableBytes, totalBytes, cgroup, pressure, stopped } = last;
    const left = cgroup ? Math.min(availableBytes, cgroup.limitBytes - cgroup.usedBytes) : availableBytes;
    const total = cgroup?.limitBytes ?? totalBytes;
    const waits = pressure?.full ?? 0;
    const stop = left / total < (stopped ? resumeAbove : stopBelow) || waits > (stopped ? calm : thrashing);
    if (!stop && left / total >= warnBelow) return [];
    const gib = (bytes: number) => `${(bytes / 1024 ** 3).toFixed(1)} GiB`;
    return [
      {
        rule: 'host-memory',
        scope: 'host',
        subject: machine,
        severity: stop ? 'critical' : 'warning',
        action: stop ? 'stop-intake' : 'record',
        reason: `${gib(left)} of ${gib(total)} memory are left${waits > calm ? `, and work waits for it ${waits} % of the time` : ''}`,
        hint: 'run fewer instances, or give the machine (or its container) more memory',
        evidence: [
          `available ${availableBytes} of ${totalBytes} bytes`,
          ...(cgroup ? [`control group: ${cgroup.usedBytes} of ${cgroup.limitBytes} bytes`] : []),
          ...(pressure ? [`pressure: some ${pressure.some} %, full ${pressure.full} %`] : []),
        ],
      },
    ];
  };
