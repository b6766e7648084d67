import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { runCommand } from '@mgpu/core';
import { expect, test } from 'vitest';
import { type Box, isAlive, oneSimulatedGpu, openBox, statusOf } from '../apps/machine/test/support.ts';
import { pm2Program } from '../bench/src/supervisors/pm2-program.ts';

const program = await pm2Program();
const title = typeof program === 'string' ? '' : ` (${program.why})`;

/** A PM2 with a home of its own, and a secret in the environment of whoever calls it. */
function pm2In(box: Box) {
  const home = join(box.dir, 'pm2');
  const { PATH = '' } = process.env;
  const env = { PATH, HOME: box.dir, PM2_HOME: home, PM2_DISABLE_VERSION_CHECK: 'true', MY_TOKEN: 'hunter2' };
  return {
    home,
    async run(...args: string[]): Promise<string> {
      // Nothing of the test's own environment, in which a PM2 may be at home.
      const command = ['-i', ...Object.entries(env).map(([name, value]) => `${name}=${value}`), process.execPath];
      const result = await runCommand('env', [...command, String(program), ...args], { timeoutMs: 60_000 });
      expect(result, result.stderr).toMatchObject({ ok: true });
      return result.stdout;
    },
    async [Symbol.asyncDispose]() {
      await this.run('kill');
    },
  };
}

/** When a daemon other than that one has everything ready. */
async function ready(box: Box, formerDaemon?: number) {
  await expect
    .poll(async () => {
      const { daemon, instances } = await statusOf(box);
      if (daemon.pid === formerDaemon) return undefined;
      return instances.find(({ id }) => id === 'worker_gpu0')?.health;
    })
    .toBe('ready');
  const { daemon, instances } = await statusOf(box);
  const pids = Object.fromEntries(instances.flatMap(({ id, pid }) => (pid === undefined ? [] : [[id, pid]])));
  return { daemon: daemon.pid, pids, outdated: instances.filter(({ outdated }) => outdated).map(({ id }) => id) };
}

test.skipIf(typeof program !== 'string')(
  `under PM2 engines outlive a reload and the daemon's death, and no stop${title}`,
  { timeout: 180_000 },
  async () => {
    await using box = await openBox(undefined, oneSimulatedGpu);
    await using pm2 = pm2In(box);
    const file = join(box.dir, 'ecosystem.config.cjs');
    expect((await box.mgpu(['export', 'pm2', '--out', file])).code).toBe(0);

    await pm2.run('start', file);
    const first = await ready(box);
    expect(Object.keys(first.pids)).toEqual(expect.arrayContaining(['comfyui_gpu0', 'worker_gpu0', 'redis', 'nginx']));
    const environment = readFileSync(`/proc/${first.daemon}/environ`, 'utf8');
    expect(environment + (await pm2.run('jlist'))).not.toContain('hunter2');

    await pm2.run('reload', 'mgpu');
    const reloaded = await ready(box, first.daemon);
    expect(reloaded).toMatchObject({ pids: first.pids, outdated: [] });

    process.kill(reloaded.daemon, 'SIGKILL');
    const restarted = await ready(box, reloaded.daemon);
    expect(restarted).toMatchObject({ pids: first.pids, outdated: [] });

    const isAnyAlive = () => Object.values(first.pids).some(isAlive);
    await pm2.run('stop', 'mgpu');
    expect(isAlive(restarted.daemon)).toBe(false);
    await expect.poll(isAnyAlive, { timeout: 60_000 }).toBe(false);
    await expect.poll(() => readdirSync(join(box.root, 'run'))).toEqual([]);

    await pm2.run('start', 'mgpu');
    const again = await ready(box);
    expect((await box.mgpu(['down'])).code).toBe(0);
    await expect.poll(() => isAlive(again.daemon)).toBe(false);
    // What PM2 was told to take for a wanted end.
    await expect.poll(() => readFileSync(join(pm2.home, 'pm2.log'), 'utf8')).toContain('exited with code [64]');
    expect(JSON.parse(await pm2.run('jlist'))[0]).toMatchObject({ pid: 0, pm2_env: { stop_exit_codes: [64, 2] } });
  },
);
