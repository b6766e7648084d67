import { statSync } from 'node:fs';
import { join } from 'node:path';
import { empty, json, type Route } from '../../http.ts';
import type { Engine } from '../engine.ts';
import { listFiles } from '../folders.ts';
import { TERMINAL_SIZE } from '../log.ts';

/** `/internal/...`: logs, folders, files. These have no twin below `/api`. */
export function internalRoutes({ log, hub, world: { folders } }: Engine): Route[] {
  return [
    {
      method: 'GET',
      path: '/internal/logs',
      handle: () => json(log.entries.map(({ t, m }) => `${t} - ${m}`).join('')),
    },
    { method: 'GET', path: '/internal/logs/raw', handle: () => json({ entries: log.entries, size: TERMINAL_SIZE }) },
    {
      method: 'PATCH',
      path: '/internal/logs/subscribe',
      async handle(request) {
        const { clientId, enabled } = (await request.json()) as { clientId: string; enabled: boolean };
        hub.subscribeLogs(clientId, enabled);
        return empty();
      },
    },
    {
      method: 'GET',
      path: '/internal/folder_paths',
      handle: () => json(Object.fromEntries(folders.modelTypes().map((type) => [type, folders.modelPaths(type)]))),
    },
    {
      method: 'GET',
      path: '/internal/files/{type}',
      handle({ params: { type = '' } }) {
        const folder = folders.byType(type);
        if (folder === undefined) return json({ error: 'Invalid directory type' }, 400);
        const times = listFiles(folder, false)
          .filter((name) => !name.startsWith('.'))
          .map((name) => ({ name, time: statSync(join(folder, name)).mtimeMs }));
        return json(times.sort((a, b) => b.time - a.time).map(({ name }) => `${name} [${type}]`));
      },
    },
  ];
}
