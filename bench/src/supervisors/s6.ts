import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeServices } from './service-folders.ts';
import {
  type Absent,
  bytesIn,
  call,
  type Daemon,
  type Deployment,
  daemon,
  programs,
  type Supervisor,
} from './supervisor.ts';

const readyFd = '3';

export async function s6(): Promise<Supervisor | Absent> {
  const found = await programs('s6-svscan', 's6-svstat', 's6-log');
  if (!found) return { name: 's6', why: 'not installed' };
  return {
    name: 's6',
    async deploy(fleet, { logs = false } = {}): Promise<Deployment> {
      const output = join(fleet.folder, 'output');
      await mkdir(output);
      const logger = [found['s6-log'], 'n20', 's52428800', output];
      const { services, folders } = await writeServices(fleet, logs ? { logger } : {});
      // Only what has said that it is ready is started again at once; anything else a second later.
      for (const folder of folders) await writeFile(join(folder, 'notification-fd'), readyFd);
      const env = { ...fleet.env, READY_FD: readyFd };
      let running: Daemon | undefined;
      return {
        async start() {
          running = daemon([found['s6-svscan'], services], { ...fleet, env });
        },
        // It answers for one service a call.
        status: () =>
          call(['/bin/sh', '-c', `for each; do ${found['s6-svstat']} "$each"; done`, 'sh', ...folders], fleet),
        captured: () => bytesIn(output),
        stop: async () => running?.stop('SIGTERM'),
      };
    },
  };
}
