import {
  accessSync,
  constants,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmdirSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';

/** A living process that belongs to a machine, as the kernel tells. */
export interface Found {
  readonly pid: number;
  /** Clock ticks after boot: with the pid it names a process for ever. */
  readonly startTime: number;
  readonly parent: number;
  readonly command: string;
  /** From its markers; undefined for a program that erased its environment. */
  readonly instance?: string | undefined;
  readonly run?: string | undefined;
}

/** The living processes that carry a marker of an instance below this root. */
export function markedProcesses(root: string): Found[] {
  return pids().flatMap((pid) => {
    const found = look(pid);
    const marker = found && environmentOf(pid, 'MGPU_INSTANCE');
    if (!marker?.startsWith(join(root, '/'))) return [];
    return [{ ...found, instance: basename(marker), run: environmentOf(pid, 'MGPU_RUN') }] as Found[];
  });
}

/** The living processes that have anything to do with a folder: a marker, an open file, or its path in their command. */
export function processesAround(folder: string): Found[] {
  const marked = new Set(markedProcesses(folder).map(({ pid }) => pid));
  return pids().flatMap((pid) => {
    const found = look(pid);
    if (!found || pid === process.pid) return [];
    return marked.has(pid) || found.command.includes(folder) || holdsFileBelow(pid, folder) ? [found] : [];
  });
}

/** Whether this very process still lives; a zombie does not. */
export const lives = ({ pid, startTime }: Pick<Found, 'pid' | 'startTime'>): boolean =>
  look(pid)?.startTime === startTime;

/** Undefined for one that is gone, or only waits to be collected. */
export function look(pid: number): Found | undefined {
  const stat = read(`/proc/${pid}/stat`);
  if (stat === undefined) return undefined;
  const [state, parent, ...fields] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  if (state === 'Z') return undefined;
  const command = read(`/proc/${pid}/cmdline`)?.replaceAll('\0', ' ').trim() ?? '';
  return { pid, parent: Number(parent), startTime: Number(fields[17]), command };
}

/** Resident memory in MiB. */
export function residentMiB(pid: number): number {
  const [, kB = '0'] = /^VmRSS:\s+(\d+) kB/m.exec(read(`/proc/${pid}/status`) ?? '') ?? [];
  return Number(kB) / 1024;
}

function holdsFileBelow(pid: number, folder: string): boolean {
  const links = [`/proc/${pid}/cwd`, ...list(`/proc/${pid}/fd`).map((fd) => `/proc/${pid}/fd/${fd}`)];
  return links.some((link) => {
    try {
      return readlinkSync(link).startsWith(join(folder, '/'));
    } catch {
      return false; // closed meanwhile, or somebody else's
    }
  });
}

export function environmentOf(pid: number, name: string): string | undefined {
  const assignment = read(`/proc/${pid}/environ`)
    ?.split('\0')
    .find((each) => each.startsWith(`${name}=`));
  return assignment?.slice(name.length + 1);
}

const pids = () =>
  list('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);

function list(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return []; // ended meanwhile
  }
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined; // ended meanwhile, or somebody else's
  }
}

/** Whether the pids that kernel and driver tell are ours: those of the first PID namespace (include/linux/proc_ns.h). */
export const seesHostPids = readlinkSync('/proc/self/ns/pid') === 'pid:[4026531836]';

/** The kernel's groups for memory, of the first version and of the second one, and their limits. */
const limitOf = { '/sys/fs/cgroup/memory': 'memory.limit_in_bytes', '/sys/fs/cgroup': 'memory.max' };

/** Whether the memory of a process can be limited here. */
export const canLimitMemory = (() => {
  const folder = join(memoryGroup(), `mgpu-test-${process.pid}`);
  try {
    accessSync(memoryGroup(), constants.W_OK);
    mkdirSync(folder);
    const isThere = list(folder).includes(limitOf[memoryGroup()]);
    rmdirSync(folder);
    return isThere;
  } catch {
    return false;
  }
})();

/** Above this the kernel kills the process; its children inherit the limit. Returns what takes the group away again. */
export function limitMemory(pid: number, mebibytes: number): () => void {
  const folder = join(memoryGroup(), `mgpu-test-${pid}`);
  mkdirSync(folder);
  writeFileSync(join(folder, limitOf[memoryGroup()]), String(mebibytes * 1_048_576));
  writeFileSync(join(folder, 'cgroup.procs'), String(pid));
  return () => rmdirSync(folder);
}

function memoryGroup(): keyof typeof limitOf {
  return list('/sys/fs/cgroup/memory').length > 0 ? '/sys/fs/cgroup/memory' : '/sys/fs/cgroup';
}
