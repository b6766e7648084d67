import { execFileSync } from 'node:child_process';
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

/** Clock ticks (hundredths of a second) after boot, as `startTime`. */
export const ticksNow = (): number => Number.parseFloat(readFileSync('/proc/uptime', 'utf8')) * 100;

/** Milliseconds of processor time that a process has used itself. */
export function cpuMs(pid: number): number {
  const stat = read(`/proc/${pid}/stat`) ?? '';
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

/** How many sockets a process has that are connected to a local port, in whatever state. */
export function connectionsOf(pid: number, port: number): number {
  const hexPort = port.toString(16).toUpperCase().padStart(4, '0');
  const inodes = (read('/proc/net/tcp') ?? '').split('\n').flatMap((row) => {
    const [, , remote = '', , , , , , , inode = ''] = row.trim().split(/\s+/);
    return remote.endsWith(`:${hexPort}`) ? [`socket:[${inode}]`] : [];
  });
  const sockets = new Set(inodes);
  return linksOf(pid, descriptorsOf(pid)).filter((target) => sockets.has(target)).length;
}

const descriptorsOf = (pid: number) => list(`/proc/${pid}/fd`).map((fd) => `fd/${fd}`);

/** What these links of a process lead to. */
function linksOf(pid: number, names: readonly string[]): string[] {
  return names.flatMap((name) => {
    try {
      return [readlinkSync(`/proc/${pid}/${name}`)];
    } catch {
      return []; // closed meanwhile, or somebody else's
    }
  });
}

/** Resident memory in MiB. */
export function residentMiB(pid: number): number {
  const [, kB = '0'] = /^VmRSS:\s+(\d+) kB/m.exec(read(`/proc/${pid}/status`) ?? '') ?? [];
  return Number(kB) / 1024;
}

function holdsFileBelow(pid: number, folder: string): boolean {
  return linksOf(pid, ['cwd', ...descriptorsOf(pid)]).some((target) => target.startsWith(join(folder, '/')));
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

/** The kernel's groups, of the first version and of the second one, and the files of their limits. */
const limitOf = {
  memory: { first: 'memory.limit_in_bytes', second: 'memory.max' },
  pids: { first: 'pids.max', second: 'pids.max' },
};

type Resource = keyof typeof limitOf;

/** Whether this can be limited here for single processes. */
export function canLimit(resource: Resource): boolean {
  const { parent, file } = groupOf(resource);
  const folder = join(parent, `mgpu-test-${process.pid}`);
  try {
    accessSync(parent, constants.W_OK);
    mkdirSync(folder);
    const isThere = list(folder).includes(file);
    rmdirSync(folder);
    return isThere;
  } catch {
    return false;
  }
}

/** A limit of a process and of what it starts from now on: bytes of memory, or threads. */
export function limit(pid: number, resource: Resource, most: number): { lift(): void; remove(): void } {
  const { parent, file } = groupOf(resource);
  const folder = join(parent, `mgpu-test-${pid}`);
  mkdirSync(folder);
  writeFileSync(join(folder, 'cgroup.procs'), String(pid));
  writeFileSync(join(folder, file), String(most));
  return {
    lift: () => writeFileSync(join(folder, file), resource === 'pids' ? 'max' : '-1'),
    remove: () => rmdirSync(folder),
  };
}

export const threadsOf = (pid: number): number => list(`/proc/${pid}/task`).length;

function groupOf(resource: Resource): { parent: string; file: string } {
  const parent = `/sys/fs/cgroup/${resource}`;
  const { first, second } = limitOf[resource];
  return list(parent).length > 0 ? { parent, file: first } : { parent: '/sys/fs/cgroup', file: second };
}

/** From now on a process can open no file; returns what gives it back what it had. */
export function forbidFiles(pid: number): () => void {
  const [, soft = ''] = /^Max open files\s+(\d+)/m.exec(read(`/proc/${pid}/limits`) ?? '') ?? [];
  const taken = new Set(list(`/proc/${pid}/fd`).map(Number));
  let free = 0;
  while (taken.has(free)) free += 1;
  const set = (most: number | string) => execFileSync('prlimit', ['--pid', String(pid), `--nofile=${most}:`]);
  set(free);
  return () => void set(soft);
}

/** Whether the limits of another process can be set here. */
export const canForbidFiles = (() => {
  try {
    execFileSync('prlimit', ['--pid', String(process.pid), '--nofile'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
})();
