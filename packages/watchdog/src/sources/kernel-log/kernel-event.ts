import { pciBus } from '@mgpu/core';

/** The NVIDIA driver reports a fault of a GPU. */
export interface XidEvent {
  readonly type: 'xid';
  /** Comparable form, see `pciBus`. */
  readonly bus: string;
  /** 79 also stands for "fallen off the bus" said without a number. */
  readonly xid: number;
  /** Its process as the host numbers it; undefined when the driver does not know. */
  readonly pid?: number;
  readonly name?: string;
  /** NVLink 5 faults (144–150) say how bad they are. */
  readonly nvlink?: { readonly unit: string; readonly fatal: boolean; readonly link: number };
  /** Xid 154: what the driver wants done now. 0 nothing, 1 reset, 2 reboot, 3 drain peers, 4 drain and reset. */
  readonly recovery?: number;
  readonly line: string;
}

/** The kernel killed a process for want of memory. */
export interface OomKill {
  readonly type: 'oom-kill';
  readonly pid: number;
  readonly name: string;
  /** `cgroup`: the limit of a container or unit was reached, not that of the machine. */
  readonly limit: 'machine' | 'cgroup';
  readonly line: string;
}

export type KernelEvent = XidEvent | OomKill;

/** Lines are kept as evidence up to this many characters. */
const maxLine = 400;

const xidLine = /NVRM: Xid \(([^)\s]{1,32})[^)]{0,40}\)[^:]{0,20}: (\d{1,4})(?:,|\s|$)(.*)/s;
const nvlinkText = /^\s*(\w{1,40})\s+(Fatal|Nonfatal)\b.{0,40}?Link (-?\d{1,4})/;
const recoveryText = /recovery action changed from \S+ \([^)]{0,40}\) to 0x([0-9a-f]{1,8})/i;
const offBusLine = /NVRM: GPU (?:at )?([0-9a-f:.]{1,20}?):? (?:GPU )?has fallen off the bus/i;
const oldOffBusGpu = /NVRM: The NVIDIA GPU ([0-9a-f:.]{1,20})/i;
const oldOffBusEnd = /fallen off the bus and is not responding/;
const oomLine =
  /\b(Memory cgroup out of memory: |Out of memory[^:]{0,40}: )?Kill(?:ed)? process (\d{1,10}) \((.{0,32}?)\)/;

/** The old "fallen off the bus" stands on up to this many lines after the one that names the GPU. */
const oldOffBusLines = 3;

/** Reads the kernel's lines one after the other, in any of the forms that its readers print. Never throws. */
export function kernelLineParser(): (line: string) => KernelEvent | undefined {
  let named: { bus: string; linesLeft: number } | undefined;
  return (text) => {
    const line = text.slice(0, maxLine);
    const gpu = pciBus(oldOffBusGpu.exec(line)?.[1] ?? '');
    if (gpu) named = { bus: gpu, linesLeft: oldOffBusLines };
    else if (named && named.linesLeft-- === 0) named = undefined;
    if (named && oldOffBusEnd.test(line)) {
      const { bus } = named;
      named = undefined;
      return { type: 'xid', bus, xid: 79, line };
    }
    return xidOf(line) ?? offBusOf(line) ?? oomKillOf(line);
  };
}

function xidOf(line: string): XidEvent | undefined {
  const [, where = '', number, rest = ''] = xidLine.exec(line) ?? [];
  const bus = pciBus(where);
  if (bus === undefined || number === undefined) return undefined;
  const xid = Number(number);
  const pid = /\bpid='?(\d{1,10})/.exec(rest)?.[1];
  const name = /\bname='?([^,'<]{1,64})'?,/.exec(rest)?.[1];
  const nvlink = xid >= 144 && xid <= 150 ? nvlinkText.exec(rest) : null;
  const recovery = xid === 154 ? recoveryText.exec(rest)?.[1] : undefined;
  return {
    type: 'xid',
    bus,
    xid,
    ...(pid === undefined ? {} : { pid: Number(pid) }),
    ...(name === undefined ? {} : { name }),
    ...(nvlink ? { nvlink: { unit: nvlink[1] ?? '', fatal: nvlink[2] === 'Fatal', link: Number(nvlink[3]) } } : {}),
    ...(recovery === undefined ? {} : { recovery: Number.parseInt(recovery, 16) }),
    line,
  };
}

function offBusOf(line: string): XidEvent | undefined {
  const bus = pciBus(offBusLine.exec(line)?.[1] ?? '');
  return bus === undefined ? undefined : { type: 'xid', bus, xid: 79, line };
}

function oomKillOf(line: string): OomKill | undefined {
  const [, reason, pid, name = ''] = oomLine.exec(line) ?? [];
  if (pid === undefined) return undefined;
  const limit = reason?.startsWith('Memory cgroup') ? 'cgroup' : 'machine';
  return { type: 'oom-kill', pid: Number(pid), name, limit, line };
}

/** Seconds after the kernel's start that a line says of itself: `[ 12.345678]`, or a record of /dev/kmsg. */
export function kernelSeconds(line: string): number | undefined {
  const micros = /^\d{1,10},\d{1,20},(\d{1,20}),/.exec(line)?.[1];
  if (micros !== undefined) return Number(micros) / 1_000_000;
  const seconds = /\[ {0,12}(\d{1,12}\.\d{1,9})\]/.exec(line.slice(0, 200))?.[1];
  return seconds === undefined ? undefined : Number(seconds);
}
