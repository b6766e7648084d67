import type { KernelEvent } from './kernel-event.ts';

const minuteMs = 60_000;
/** Different events let through in a minute; what goes beyond is a storm of which these tell enough. */
const maxPerMinute = 64;

/** Lets each event of a minute through once: ten thousand lines cost one event. Its memory is bounded. */
export function stormFilter(): (event: KernelEvent, at: number) => boolean {
  let minute = Number.NaN;
  let seen = new Set<string>();
  return (event, at) => {
    const current = Math.floor(at / minuteMs);
    if (current !== minute) {
      minute = current;
      seen = new Set();
    }
    const key = keyOf(event);
    if (seen.has(key) || seen.size >= maxPerMinute) return false;
    seen.add(key);
    return true;
  };
}

function keyOf(event: KernelEvent): string {
  if (event.type === 'oom-kill') return `oom ${event.pid}`;
  const { bus, xid, pid, nvlink, recovery } = event;
  return [bus, xid, pid, nvlink?.fatal, recovery].join(' ');
}
