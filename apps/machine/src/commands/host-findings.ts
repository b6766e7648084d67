import { existsSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { availableParallelism, cpus, freemem, hostname, totalmem } from 'node:os';
import { dirname } from 'node:path';
import { environmentBindings, type Finding } from '@mgpu/core';
import { fileSize } from '../print/text.ts';
import type { Settings } from '../settings.ts';

/** What the machine is and what it was given, for whoever reads a report of it elsewhere: of variables the names alone. */
export async function hostFindings({ layout, definitions, env }: Settings): Promise<(Finding & { subject: string })[]> {
  const model = cpus()[0]?.model.trim();
  const cores = `${availableParallelism()} cores${model ? ` (${model})` : ''}`;
  const memory = `${fileSize(totalmem())} of memory, ${fileSize(freemem())} of it unused`;
  const { blocks, bavail, bsize } = await statfs(nearestFolder(layout.root));
  const set = environmentBindings(definitions).flatMap(({ name }) => (env[name] ? [name] : []));
  const ok = (subject: string, message: string) => ({ subject, level: 'ok' as const, message });
  return [
    ok('host', `${hostname()}: ${cores}, ${memory}`),
    ok('disk', `${fileSize(bavail * bsize)} of ${fileSize(blocks * bsize)} are free for ${layout.root}`),
    ok('variables', set.length > 0 ? [...new Set(set)].join(', ') : 'none of those that are understood is set'),
  ];
}

export function nearestFolder(path: string): string {
  let nearest = path;
  while (!existsSync(nearest)) nearest = dirname(nearest);
  return nearest;
}
