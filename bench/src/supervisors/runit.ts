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

export async function runit(): Promise<Supervisor | Absent> {
  const found = await programs('runsvdir', 'sv', 'svlogd');
  if (!found) return { name: 'runit', why: 'not installed' };
  return {
    name: 'runit',
    async deploy(fleet, { logs = false } = {}): Promise<Deployment> {
      const output = join(fleet.folder, 'output');
      await mkdir(output);
      await writeFile(join(output, 'config'), 's52428800\nn20\n');
      const logger = [found.svlogd, '-b', '65536', output];
      const { services, folders } = await writeServices(fleet, logs ? { logger } : {});
      let running: Daemon | undefined;
      return {
        async start() {
          running = daemon([found.runsvdir, services], fleet);
        },
        status: () => call([found.sv, 'status', ...folders], fleet),
        captured: () => bytesIn(output),
        // Told to hang up, it ends its parts and they the programs, without waiting for them.
        stop: async () => running?.stop('SIGHUP'),
      };
    },
  };
}
