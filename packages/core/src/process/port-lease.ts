import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isPortFree } from './ports.ts';
import { readProcess } from './process-table.ts';

/** A contiguous block of ports nobody else on this host leases; free again when disposed or when we end. */
export interface PortLease extends Disposable {
  readonly first: number;
  readonly count: number;
}

const range = { from: 20_000, to: 32_000 };
const blockSize = 40;
const dir = join(tmpdir(), 'mgpu-port-leases');

/** Leases up to 40 ports between 20000 and 31999 by lock file; every port of the block is seen free. */
export async function leasePorts(count = blockSize): Promise<PortLease> {
  if (count > blockSize) throw new RangeError(`a lease has at most ${blockSize} ports, asked for ${count}`);
  mkdirSync(dir, { recursive: true });
  const blocks = Math.floor((range.to - range.from) / blockSize);
  const start = Math.floor(Math.random() * blocks);
  for (let n = 0; n < blocks; n++) {
    const first = range.from + ((start + n) % blocks) * blockSize;
    const lock = join(dir, String(first));
    if (!take(lock)) continue;
    const ports = Array.from({ length: count }, (_, index) => first + index);
    const free = await Promise.all(ports.map((port) => isPortFree({ port })));
    if (free.every(Boolean)) return { first, count, [Symbol.dispose]: () => rmSync(lock, { force: true }) };
    rmSync(lock, { force: true });
  }
  throw new RangeError(`no block of ${count} free ports between ${range.from} and ${range.to}`);
}

function take(lock: string): boolean {
  try {
    claim(lock);
    return true;
  } catch {
    return takeOver(lock);
  }
}

/** A lock whose owner is gone is removed and taken, by one at a time; everybody else goes on to the next block. */
function takeOver(lock: string): boolean {
  const turn = `${lock}.turn`;
  try {
    claim(turn);
  } catch {
    return false; // somebody else is at it
  }
  try {
    const text = readFileSync(lock, 'utf8');
    const [pid, startTime] = text.split(' ').map(Number);
    // An empty file is being written right now.
    if (text === '' || readProcess(pid ?? 0)?.startTime === startTime) return false;
    rmSync(lock);
    claim(lock);
    return true;
  } catch {
    return false; // given back meanwhile, or taken by somebody new
  } finally {
    rmSync(turn, { force: true });
  }
}

function claim(path: string): void {
  writeFileSync(path, `${process.pid} ${readProcess(process.pid)?.startTime ?? 0}`, { flag: 'wx' });
}
