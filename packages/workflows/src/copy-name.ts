import { createHash } from 'node:crypto';
import { posix } from 'node:path';

/** Bytes that a name may have on the usual file systems. */
const longest = 255;

/**
 * A name for this machine's version of a file in conflict, beside it: `flow.sync-conflict-20261126-033824500-gpu-box.json`, as
 * Syncthing has it. `at` in milliseconds since the epoch, shown in UTC.
 */
export function copyName(path: string, { machine, at }: { machine: string; at: number }): string {
  const { dir, name, ext } = posix.parse(path);
  const [day = '', time = ''] = new Date(at)
    .toISOString()
    .replaceAll(/[-:.Z]/g, '')
    .split('T');
  const who = machine.replaceAll(/[^\w.-]+/g, '-').slice(0, 60);
  const tail = `.sync-conflict-${day}-${time}-${who}${ext}`;
  if (Buffer.byteLength(name + tail) <= longest) return posix.join(dir, name + tail);
  // What is cut off may be all that tells it from another.
  const mark = `~${createHash('sha256').update(name).digest('hex').slice(0, 8)}`;
  let stem = name;
  while (Buffer.byteLength(stem + mark + tail) > longest && stem !== '') stem = [...stem].slice(0, -1).join('');
  return posix.join(dir, stem + mark + tail);
}
