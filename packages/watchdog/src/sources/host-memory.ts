import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Clock } from '@mgpu/core';

/** The memory of the machine, or of the container we are in. */
export interface HostMemorySample {
  /** Monotonic milliseconds. */
  readonly at: number;
  readonly totalBytes: number;
  /** What can be had without swapping. */
  readonly availableBytes: number;
  /** The tightest limit of the control groups around us, and what is used below it, caches left out. */
  readonly cgroup?: { readonly limitBytes: number; readonly usedBytes: number };
  /** Percent of the last ten seconds in which some, or all, work waited for memory; not on every kernel. */
  readonly pressure?: { readonly some: number; readonly full: number };
}

/** Undefined where there is no `/proc/meminfo`. `root` stands for `/`. */
export function sampleHostMemory(clock: Clock, root = '/'): HostMemorySample | undefined {
  const info = fieldsOf(read(join(root, 'proc/meminfo')));
  const totalBytes = kilobytes(info.get('MemTotal'));
  const availableBytes = kilobytes(info.get('MemAvailable')) ?? kilobytes(info.get('MemFree'));
  if (totalBytes === undefined || availableBytes === undefined) return undefined;
  const cgroup = tightest(cgroupLimits(root).filter(({ limitBytes }) => limitBytes < totalBytes));
  const pressure = parsePressure(read(join(root, 'proc/pressure/memory')));
  return {
    at: clock.elapsed(),
    totalBytes,
    availableBytes,
    ...(cgroup ? { cgroup } : {}),
    ...(pressure ? { pressure } : {}),
  };
}

interface CgroupLimit {
  readonly limitBytes: number;
  readonly usedBytes: number;
}

const tightest = (limits: readonly CgroupLimit[]): CgroupLimit | undefined =>
  limits.toSorted((a, b) => a.limitBytes - a.usedBytes - (b.limitBytes - b.usedBytes))[0];

/** Limits hold for all groups below: ours, and every one above. */
function cgroupLimits(root: string): CgroupLimit[] {
  const mounts = join(root, 'sys/fs/cgroup');
  return read(join(root, 'proc/self/cgroup'))
    .split('\n')
    .flatMap((line) => {
      const [, controllers, path] = /^\d+:([^:]*):(\/.*)$/.exec(line) ?? [];
      if (path === undefined || controllers === undefined) return [];
      if (controllers === '') return groupsUpFrom(path).map((group) => limitV2(join(mounts, group)));
      if (!controllers.split(',').includes('memory')) return [];
      return groupsUpFrom(path).map((group) => limitV1(join(mounts, 'memory', group)));
    })
    .filter((limit) => limit !== undefined);
}

/** A group and those above; in a container the path may be that of the host, then only the last is there. */
function groupsUpFrom(path: string): string[] {
  const groups = [path];
  for (let at = path; at !== '/' && groups.length < 64; groups.push(at)) at = dirname(at);
  return groups;
}

const limitV2 = (group: string): CgroupLimit | undefined =>
  limitOf(read(join(group, 'memory.max')), read(join(group, 'memory.current')), group, 'inactive_file');

const limitV1 = (group: string): CgroupLimit | undefined =>
  limitOf(
    read(join(group, 'memory.limit_in_bytes')),
    read(join(group, 'memory.usage_in_bytes')),
    group,
    'total_inactive_file',
  );

function limitOf(limit: string, usage: string, group: string, cache: string): CgroupLimit | undefined {
  const [limitBytes, used] = [count(limit), count(usage)];
  if (limitBytes === undefined || used === undefined) return undefined; // no limit (`max`), or no such group
  const caches = count(new RegExp(`^${cache} (\\d+)$`, 'm').exec(read(join(group, 'memory.stat')))?.[1] ?? '') ?? 0;
  return { limitBytes, usedBytes: Math.max(0, used - caches) };
}

/** The text of `/proc/pressure/memory`. Never throws. */
export function parsePressure(text: string): { some: number; full: number } | undefined {
  const average = (kind: string) => new RegExp(`^${kind} avg10=(\\d{1,3}(?:\\.\\d{1,4})?)`, 'm').exec(text)?.[1];
  const [some, full] = [average('some'), average('full')];
  return some === undefined || full === undefined ? undefined : { some: Number(some), full: Number(full) };
}

/** `Name:  value` lines, as in many files of `/proc`. Never throws. */
export function fieldsOf(text: string): Map<string, string> {
  return new Map(
    [...text.matchAll(/^([^:\n]{1,64}):[ \t]*(.{0,200})$/gm)].map(([, name = '', value = '']) => [name, value]),
  );
}

/** Bytes of a value such as `1024 kB`. */
export function kilobytes(text: string | undefined): number | undefined {
  const found = /^(\d{1,15}) kB$/.exec(text?.trim() ?? '')?.[1];
  return found === undefined ? undefined : Number(found) * 1_024;
}

const count = (text: string): number | undefined => (/^\d{1,20}$/.test(text.trim()) ? Number(text) : undefined);

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return ''; // this kernel does not have it, or it is not for us
  }
}
