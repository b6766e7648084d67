import { recent } from './recent.ts';
import type { Rule } from './verdict.ts';

/** How much an instance has written into its log since it began; never falls. */
export interface LogVolumeSample {
  /** Monotonic milliseconds. */
  readonly at: number;
  readonly instance: string;
  readonly bytes: number;
}

const windowMs = 5 * 60_000;
const minMs = 60_000;

/** An instance that floods its log, above `limit` bytes a minute for minutes: what it says otherwise drowns. */
export const logVolume =
  (limit: number): Rule<LogVolumeSample> =>
  (history) => {
    const window = recent(history, windowMs);
    const [first, last] = [window[0], window.at(-1)];
    if (first === undefined || last === undefined || last.at - first.at < minMs) return [];
    const perMinute = ((last.bytes - first.bytes) / (last.at - first.at)) * 60_000;
    if (perMinute <= limit) return [];
    const mib = (bytes: number) => `${(bytes / 1024 ** 2).toFixed(1)} MiB`;
    return [
      {
        rule: 'log-volume',
        scope: 'process',
        subject: last.instance,
        severity: 'warning',
        action: 'record',
        reason: `${last.instance} writes ${mib(perMinute)} a minute into its log, more than ${mib(limit)}`,
        hint: 'look at what it repeats, and make it say less',
        evidence: [`${last.bytes - first.bytes} bytes in ${Math.round((last.at - first.at) / 1_000)} s`],
      },
    ];
  };
