import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { runCommand } from '@mgpu/core';
import { type Absent, bytesIn, call, type Deployment, type Supervisor } from './supervisor.ts';

const version = '7.0.4';
const name = `PM2 ${version}`;
const minuteMs = 60_000;

/** Installed from npm into a folder of the user's cache, once. */
export async function pm2(): Promise<Supervisor | Absent> {
  const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'mgpu-bench', `pm2-${version}`);
  const program = join(cache, 'node_modules/pm2/bin/pm2');
  if (!existsSync(program)) {
    await mkdir(cache, { recursive: true });
    const args = ['install', '--prefix', cache, '--no-audit', '--no-fund', `pm2@${version}`];
    const installed = await runCommand('npm', args, { cwd: cache, timeoutMs: 5 * minuteMs });
    if (!installed.ok) return { name, why: installed.stderr.trim().split('\n')[0] ?? 'npm could not install it' };
  }
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
