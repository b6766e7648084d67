import { readlinkSync, statSync } from 'node:fs';
import { userInfo } from 'node:os';
import { commandLineOf, readProcess } from '@mgpu/core';

/** Number of the PID namespace that the kernel starts with (include/linux/proc_ns.h). */
const firstNamespace = 'pid:[4026531836]';

/** Whether pids that kernel and driver tell are ours to look up: in a container with its own they are others. */
export function seesHostPids(): boolean {
  try {
    return readlinkSync('/proc/self/ns/pid') === firstNamespace;
  } catch {
    return false; // no /proc
  }
}

/** Who a process is; undefined when it is gone or a zombie. */
export function describeProcess(pid: number): { readonly command: string; readonly owner: string } | undefined {
  const facts = readProcess(pid);
  if (facts === undefined || facts.state === 'Z') return undefined;
  // One that hangs in the kernel may hold the lock that its command line is read under.
  const command = facts.state === 'D' ? 'a process that hangs in the kernel' : commandLineOf(pid) || 'unknown';
  return { command, owner: ownerOf(pid) };
}

function ownerOf(pid: number): string {
  const uid = statSync(`/proc/${pid}`, { throwIfNoEntry: false })?.uid;
  if (uid === undefined) return 'unknown';
  return uid === process.getuid?.() ? (ownName() ?? `uid ${uid}`) : `uid ${uid}`;
}

function ownName(): string | undefined {
  try {
    return userInfo().username;
  } catch {
    return undefined; // a container may run as a user that has no name
  }
}
