import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { empty, json, type Reply, type Route } from '../../http.ts';
import type { Engine } from '../engine.ts';
import { objectInfo } from '../nodes/registry.ts';
import { systemStats } from '../stats.ts';

/** `/system_stats`, `/object_info`, `/features`, `/models` and the lists of the web page. */
export function infoRoutes(engine: Engine): Route[] {
  const { folders } = engine.world;
  const routes: Route[] = [
    { method: 'GET', path: '/system_stats', handle: () => json(systemStats(engine)) },
    { method: 'GET', path: '/features', handle: () => json(engine.features) },
    {
      method: 'GET',
      path: '/object_info',
      handle: () =>
        json(Object.fromEntries([...engine.nodes].map(([name, node]) => [name, objectInfo(node, engine.world)]))),
    },
    {
      method: 'GET',
      path: '/object_info/{name}',
      handle({ params: { name = '' } }) {
        const node = engine.nodes.get(name);
        return json(node === undefined ? {} : { [name]: objectInfo(node, engine.world) });
      },
    },
    { method: 'GET', path: '/models', handle: () => json(folders.modelTypes()) },
    {
      method: 'GET',
      path: '/models/{type}',
      handle: ({ params: { type = '' } }) =>
        folders.modelPaths(type) === undefined ? empty(404) : json(folders.models(type)),
    },
    {
      method: 'GET',
      path: '/embeddings',
      handle: () => json(folders.models('embeddings').map((file) => file.replace(/\.[^.]*$/, ''))),
    },
    { method: 'GET', path: '/extensions', handle: () => json([]) },
    { method: 'GET', path: '/users', handle: () => json({ storage: 'server', migrated: false }) },
    { method: 'GET', path: '/settings', handle: () => json({}) },
    {
      method: 'GET',
      path: '/view_metadata/{folder}',
      handle: ({ params, query }) => viewMetadata(engine, params.folder ?? '', query.get('filename')),
    },
  ];
  if (engine.isSince('0.14.0')) routes.push({ method: 'GET', path: '/node_replacements', handle: () => json({}) });
  const twins = routes.map((route) => ({ ...route, twin: true }));
  if (!engine.isSince('0.26.0') || engine.options.assets) return twins;
  const message = 'Assets system is disabled. Start the server with --enable-assets to use this feature.';
  const disabled = () => json({ error: { code: 'SERVICE_DISABLED', message, details: {} } }, 503);
  return [...twins, { method: 'GET', path: '/api/assets', handle: disabled }];
}

/** The `__metadata__` in the head of a safetensors file. */
async function viewMetadata({ world: { folders } }: Engine, type: string, filename: string | null): Promise<Reply> {
  if (filename === null || !filename.endsWith('.safetensors') || !folders.models(type).includes(filename))
    return empty(404);
  for (const folder of folders.modelPaths(type) ?? []) {
    const head = await readHeader(join(folder, filename));
    if (head !== undefined) return '__metadata__' in head ? json(head.__metadata__) : empty(404);
  }
  return empty(404);
}

async function readHeader(path: string): Promise<Record<string, unknown> | undefined> {
  try {
    await using file = await open(path);
    const { buffer } = await file.read(Buffer.alloc(8), 0, 8, 0);
    const length = Number(buffer.readBigUInt64LE());
    if (length > 1024 * 1024) return undefined;
    const head = await file.read(Buffer.alloc(length), 0, length, 8);
    return JSON.parse(head.buffer.toString()) as Record<string, unknown>;
  } catch {
    return undefined;
  }
}
