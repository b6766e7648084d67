import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { runCommand } from '@mgpu/core';
import type { Absent } from './supervisor.ts';

const version = '7.0.4';
export const name = `PM2 ${version}`;
const minuteMs = 60_000;

/** Path of the `pm2` program, installed from npm into a folder of the user's cache, once. It is for Node to run. */
export async function pm2Program(): Promise<string | Absent> {
  const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'mgpu-bench', `pm2-${version}`);
  const program = join(cache, 'node_modules/pm2/bin/pm2');
  if (existsSync(program)) return program;
  await mkdir(dirname(cache), { recursive: true });
  // Somebody else may be installing it, too: it comes into its place whole, or not at all.
  const draft = await mkdtemp(`${cache}-`);
  try {
    const args = ['install', '--prefix', draft, '--no-audit', '--no-fund', `pm2@${version}`];
    const installed = await runCommand('npm', args, { cwd: draft, timeoutMs: 5 * minuteMs });
    if (!installed.ok) return { name, why: installed.stderr.trim().split('\n')[0] || 'npm could not install it' };
    await rename(draft, cache).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error; // theirs is as good
    });
    return program;
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}
