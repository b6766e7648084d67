import { spawn } from 'node:child_process';
import type { Server } from 'node:net';
import type { JobFaults } from './job-faults-schema.ts';

/**
 * Leaves a grandchild behind: forked twice, in a session of its own, with init for a parent. On request it ignores TERM,
 * keeps the listening socket open (the port stays taken, connections to it hang), or has an empty environment, so that
 * nobody finds it by its variables. It ends by itself after `lifeS`, lest a broken test leak it for ever.
 */
export async function leaveChild(fault: NonNullable<JobFaults['leaveChild']>, server: Server): Promise<number> {
  const { holdPort, ignoreTerm, clearEnv, lifeS = 600 } = fault;
  // Undocumented but the only way to the descriptor; the simulator runs on the workspace's own Node.
  const { fd } = (server as unknown as { _handle: { fd: number } })._handle;
  const trap = ignoreTerm ? 'trap "" TERM; ' : '';
  // It names itself, once it is as it shall be.
  const child = `${trap}echo $$; exec sleep ${lifeS} >/dev/null`;
  const program = `${clearEnv ? 'env -i PATH="$PATH" ' : ''}setsid sh -c '${child}' </dev/null 2>/dev/null &`;
  const shell = spawn('/bin/sh', ['-c', program], { stdio: ['ignore', 'pipe', 'ignore', ...(holdPort ? [fd] : [])] });
  let printed = '';
  for await (const chunk of shell.stdout as AsyncIterable<Buffer>) printed += String(chunk);
  return Number(printed);
}
