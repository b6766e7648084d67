import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { name, pm2Program } from './pm2-program.ts';
import { type Absent, bytesIn, call, type Deployment, type Supervisor } from './supervisor.ts';

export async function pm2(): Promise<Supervisor | Absent> {
  const program = await pm2Program();
  if (typeof program !== 'string') return program;
  return {
    name,
    async deploy(fleet, { logs = false } = {}): Promise<Deployment> {
      const output = join(fleet.folder, 'output');
      await mkdir(output);
      const apps = fleet.programs.map(({ name, command: [script, ...args] }) => ({
        name,
        script,
        args,
        interpreter: 'none',
        // Its Git metadata and its metrics cost time that nobody asked for.
        vizion: false,
        pmx: false,
        merge_logs: true,
        out_file: logs ? join(output, `${name}.log`) : '/dev/null',
        error_file: '/dev/null',
      }));
      const ecosystem = join(fleet.folder, 'ecosystem.config.json');
      await writeFile(ecosystem, JSON.stringify({ apps }));
      const env = {
        ...fleet.env,
        PM2_HOME: join(fleet.folder, 'pm2'),
        PM2_DISABLE_VERSION_CHECK: 'true',
        PM2_CONCURRENT_ACTIONS: '16', // of its own accord it starts 2 at a time
      };
      const run = (...args: string[]) => call([process.execPath, program, ...args], { ...fleet, env });
      return {
        start: () => run('start', ecosystem),
        status: () => run('jlist'),
        captured: () => bytesIn(output),
        stop: () => run('kill'),
      };
    },
  };
}
