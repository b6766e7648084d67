import { readdirSync } from 'node:fs';
import { join } from 'node:path';

/** `mgpu-2026-11-26.log`, and what came after it on that day: `mgpu-2026-11-26.log.1`. */
const form = /^mgpu-(\d{4}-\d\d-\d\d)\.log(?:\.(\d+))?$/;

/** The files of the daemon's own log, oldest first; none where there is no folder. */
export function daemonLogFiles(dir: string): string[] {
  let names: string[];
  try {
    names = readdirSync(dir);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
  return names
    .flatMap((name) => {
      const [, day = '', part = '0'] = form.exec(name) ?? [];
      return day === '' ? [] : [{ path: join(dir, name), day, part: Number(part) }];
    })
    .toSorted((a, b) => a.day.localeCompare(b.day) || a.part - b.part)
    .map(({ path }) => path);
}
