import type { KernelEvent } from './kernel-event.ts';

const minuteMs = 60_000;
/** Different events of one type let through in a minute; what goes beyond is a storm of which these tell enough. */
const maxPerMinute = 64;

/** Lets each event of a minute through once: ten thousand lines cost one event. Its memory is bounded. */
export function stormFilter(): (event: KernelEvent, at: number) => boolean {
  let minute = Number.NaN;
  let seen = { xid: new Set<string>(), 'oom-kill': new Set<string>() };
  return (event, at) => {
    const current = Math.floor(at / minuteMs);
    if (current !== minute) {
      minute = current;
      seen = { xid: new Set(), 'oom-kill': new Set() };
    }
    const key = keyOf(event);
    const alike = seen[event.type];
    if (alike.has(key) || alike.size >= maxPerMinute) return false;
    alike.add(key);
    return true;
  };
}

function keyOf(event: KernelEvent): string {
  if (event.type === 'oom-kill') return `${event.pid}`;
  const { bus, xid, pid, nvlink, recovery } = event;
  return [bus, xid, pid, nvlink?.fatal, recovery].join(' ');
}
