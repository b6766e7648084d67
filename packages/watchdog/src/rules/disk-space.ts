import type { DiskSample } from '../sources/disk.ts';
import { machine, type Rule, type Verdict } from './verdict.ts';

/** Bytes available, in falling order but for the last. */
export interface DiskLimits {
  readonly warnBelow: number;
  /** Old outputs are removed. */
  readonly cleanBelow: number;
  /** New jobs are refused. */
  readonly stopBelow: number;
  /** Once refused, jobs are taken again from here on: above `stopBelow`, so that it does not change all the time. */
  readonly resumeAbove: number;
}

/** Files that a machine needs room for, whatever their size. */
const minFiles = 1_000;

/** A disk that fills: said first, then cleaned up, then no new jobs. `stopped`: whether intake is stopped for it now. */
export const diskSpace =
  ({ warnBelow, cleanBelow, stopBelow, resumeAbove }: DiskLimits): Rule<DiskSample & { readonly stopped: boolean }> =>
  (history) => {
    const last = history.at(-1);
    if (last === undefined) return [];
    const { path, availableBytes, availableFiles, totalBytes, stopped } = last;
    const noFiles = availableFiles !== undefined && availableFiles < minFiles;
    const stop = noFiles || availableBytes < (stopped ? resumeAbove : stopBelow);
    const clean = availableBytes < cleanBelow;
    if (!stop && !clean && availableBytes >= warnBelow) return [];
    const left = noFiles
      ? `room for ${availableFiles} files`
      : `${gigabytes(availableBytes)} of ${gigabytes(totalBytes)}`;
    const room: Verdict = {
      rule: 'disk-space',
      scope: 'host',
      subject: machine,
      severity: clean ? 'error' : 'warning',
      action: clean ? 'clean-up' : 'record',
      reason: `the disk of ${path} has ${left} left`,
      hint: 'remove old outputs and models that are not used, or enlarge the disk',
      evidence: [`${path}: ${availableBytes} of ${totalBytes} bytes, ${availableFiles ?? 'unknown'} files available`],
    };
    if (!stop) return [room];
    const hint = `free space: jobs are taken again above ${gigabytes(resumeAbove)}`;
    const full: Verdict = { ...room, severity: 'critical', action: 'stop-intake', hint };
    return clean ? [full, { ...room, rule: 'disk-clean-up' }] : [full];
  };

const gigabytes = (bytes: number) => `${(bytes / 1024 ** 3).toFixed(1)} GiB`;
