import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { InstanceLog } from '@mgpu/control';
import type { Layout } from '@mgpu/core';

/** The logs that there are, by their folders: whether a daemon runs or not, whether they still are configured or not. */
export function instanceLogs({ root, instance }: Layout): InstanceLog[] {
  if (!existsSync(root)) return [];
  return readdirSync(root, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => ({ ...partsOf(name), file: join(instance(name), 'logs', 'output.log') }))
    .filter(({ file }) => existsSync(file))
    .toSorted((a, b) => a.id.localeCompare(b.id, 'en', { numeric: true }));
}

/** What `instanceId` of core has put together. */
function partsOf(id: string): Omit<InstanceLog, 'file'> {
  const [, kind, gpu] = /^(.+)_gpu(\d+)$/.exec(id) ?? [];
  return kind === undefined ? { id, kind: id } : { id, kind, gpu: Number(gpu) };
}
