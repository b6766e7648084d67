import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { createServer } from 'node:net';
import type { Clock } from '../clock.ts';
import { PortInUseError, PortUnusableError } from '../errors/core-errors.ts';
import { commandLineOf } from './process-table.ts';

/** An address a process is going to listen on. */
export interface ListenAddress {
  /** Default 127.0.0.1. */
  readonly host?: string;
  readonly port: number;
}

/** True when the address can be bound right now, tried by binding it. Throws `CORE_PORT_UNUSABLE` when it never can. */
export function isPortFree({ host = '127.0.0.1', port }: ListenAddress): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => {
      const { code: errno = error.message } = error;
      if (errno === 'EADDRINUSE') resolve(false);
      else reject(new PortUnusableError({ host, port, errno }, { cause: error }));
    });
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(true)));
  });
}

/**
 * Waits up to `ms` (default 0), or until `hurry` fires, for the addresses to be free; `CORE_PORT_IN_USE` names the holder
 * of the first that is not.
 */
export async function expectPortsFree(
  instance: string,
  addresses: readonly ListenAddress[],
  {
    clock,
    ms = 0,
    signal,
    hurry,
  }: { clock: Clock; ms?: number; signal?: AbortSignal | undefined; hurry?: AbortSignal },
): Promise<void> {
  const end = clock.elapsed() + ms;
  for (const address of addresses) {
    while (!(await isPortFree(address))) {
      if (clock.elapsed() >= end || hurry?.aborted) {
        const { host = '127.0.0.1', port } = address;
        throw new PortInUseError({ instance, host, port, ...portHolder(port) });
      }
      await clock.sleep(50, { signal });
    }
  }
}

/** The process listening on a TCP port, as far as `/proc` lets us see. */
export function portHolder(port: number): { pid: number; command: string } | undefined {
  return holderOf(new Set(['/proc/net/tcp', '/proc/net/tcp6'].flatMap((table) => listeningInodes(table, port))));
}

/** The process listening on a Unix socket that was bound to such a path, as far as `/proc` lets us see. */
export function socketHolder(isBoundTo: (path: string) => boolean): { pid: number; command: string } | undefined {
  // Rows of proc(5) `/proc/net/unix`: flags at 3 (00010000 is listening), inode at 6, path (blanks included) from 7 on.
  const listening = rowsOf('/proc/net/unix').filter(
    (row) => row[3] === '00010000' && isBoundTo(row.slice(7).join(' ')),
  );
  return holderOf(new Set(listening.map((row) => row[6] ?? '')));
}

function holderOf(inodes: ReadonlySet<string>): { pid: number; command: string } | undefined {
  if (inodes.size === 0) return undefined;
  for (const name of list('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    for (const fd of list(`/proc/${name}/fd`)) {
      const inode = /^socket:\[(\d+)\]$/.exec(link(`/proc/${name}/fd/${fd}`))?.[1];
      if (inode !== undefined && inodes.has(inode)) {
        return { pid: Number(name), command: commandLineOf(Number(name)) ?? 'unknown' };
      }
    }
  }
  return undefined;
}

/** Rows of proc(5) `/proc/net/tcp`: local address in hex at 1, state at 3 (0A is listening), inode at 9. */
function listeningInodes(table: string, port: number): string[] {
  const hex = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  return rowsOf(table)
    .filter((row) => row[3] === '0A' && row[1]?.endsWith(hex))
    .map((row) => row[9] ?? '');
}

function rowsOf(table: string): string[][] {
  let text: string;
  try {
    text = readFileSync(table, 'utf8');
  } catch {
    return []; // no IPv6, or no /proc
  }
  return text
    .split('\n')
    .slice(1)
    .map((line) => line.trim().split(/\s+/));
}

function list(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return []; // ended meanwhile, or somebody else's process
  }
}

function link(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return ''; // closed meanwhile
  }
}
