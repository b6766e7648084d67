// What the kernel tells of processes (proc(5)); Linux only, as the supervisors beside us are.
import { readdirSync, readFileSync } from 'node:fs';

/** Every living process that was started with this assignment in its environment. */
export function processesWith(assignment: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => read(pid, 'environ').split('\0').includes(assignment));
}

/** Memory of one process in MB of 1,000,000 bytes, what it shares with others counted in parts (PSS). */
export const proportionalMemory = (pid: number) => kilobytes(read(pid, 'smaps_rollup'), 'Pss');

/** Memory of one process in MB of 1,000,000 bytes, what it shares counted whole (RSS). */
export const residentMemory = (pid: number) => kilobytes(read(pid, 'status'), 'VmRSS');

/** Seconds of processor time it has used: utime and stime, in ticks of 10 ms. */
export function processorTime(pid: number): number {
  const stat = read(pid, 'stat');
  const [utime, stime] = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .slice(11, 13);
  return (Number(utime) + Number(stime)) / 100;
}

/** Files and sockets it holds open. */
export const openFiles = (pid: number) => readdirSync(`/proc/${pid}/fd`).length;

const kilobytes = (text: string, field: string) =>
  (Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? 0) * 1_024) / 1e6;

function read(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'latin1');
  } catch {
    return ''; // it has ended, or is not ours to see
  }
}
