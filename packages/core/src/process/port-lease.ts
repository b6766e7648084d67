import { PortLeaseError } from '../errors/core-errors.ts';
import { holdName } from './hold-name.ts';
import { isPortFree } from './ports.ts';

/** A contiguous block of ports nobody else on this host leases; free again when disposed or when we end. */
export interface PortLease extends Disposable {
  readonly first: number;
  readonly count: number;
}

const range = { from: 20_000, to: 32_000 };
const blockSize = 40;

/**
 * Leases up to 40 ports between 20000 and 31999; every port of the block is seen free. A block is held by listening on
 * an abstract Unix socket (unix(7)): the kernel gives each name once per network namespace, as it does with ports, to
 * whatever user, and takes it back when its holder ends. Throws `CORE_PORT_LEASE`.
 */
export async function leasePorts(count = blockSize): Promise<PortLease> {
  if (count > blockSize) throw new RangeError(`a lease has at most ${blockSize} ports, asked for ${count}`);
  const blocks = Math.floor((range.to - range.from) / blockSize);
  const start = Math.floor(Math.random() * blocks);
  for (let n = 0; n < blocks; n++) {
    const first = range.from + ((start + n) % blocks) * blockSize;
    const held = await holdName(`ports-${first}`).catch((cause: Error) => {
      throw new PortLeaseError({ problem: cause.message }, { cause });
    });
    if (!held) continue;
    const ports = Array.from({ length: count }, (_, index) => first + index);
    const free = await Promise.all(ports.map((port) => isPortFree({ port })));
    if (free.every(Boolean)) return { first, count, ...held };
    held[Symbol.dispose]();
  }
  throw new PortLeaseError({ problem: `no block of ${count} free ports between ${range.from} and ${range.to}` });
}
