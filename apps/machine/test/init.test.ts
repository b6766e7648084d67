import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { MachineStatus } from '@mgpu/control';
import { expect, test } from 'vitest';
import { type Box, oneSimulatedGpu, openBox, statusOf } from './support.ts';

const namespace = ['--pid', '--fork', '--mount-proc', '--kill-child'];
const isPermitted = spawnSync('unshare', [...namespace, 'true']).status === 0;
const up = [process.execPath, join(import.meta.dirname, '../bin/mgpu.js'), 'up'] as const;

/** As tini does: starts the daemon, hands SIGTERM on, collects every orphan, and says in the end what is left beside it. */
const init = [
  'bash',
  '-c',
  '"$@" & trap "kill -TERM $!" TERM; while wait -n; [ $? != 127 ]; do :; done; echo "left:" /proc/[0-9]*',
  'init',
] as const;

/** Runs a command as process 1 of a namespace. */
function runAsInit(box: Box, command: readonly string[]) {
  const { PATH = '' } = process.env;
  const child = spawn('unshare', [...namespace, ...command], {
    cwd: box.dir,
    env: { PATH, HOME: box.dir },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const said = Promise.all([text(child.stdout), text(child.stderr)]);
  const exit = once(child, 'exit');
  return {
    init: () => childrenOf(child)[0] as number,
    async ended() {
      const [[code], [stdout, stderr]] = await Promise.all([exit, said]);
      return { code, stdout, stderr };
    },
    [Symbol.dispose]: () => void child.kill('SIGKILL'),
  };
}

const childrenOf = ({ pid }: Pick<ChildProcess, 'pid'>) =>
  readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number);

const zombiesOf = (pid: number) =>
  childrenOf({ pid }).filter((child) => / Z /.test(readFileSync(`/proc/${child}/stat`, 'utf8')));

async function ready(box: Box): Promise<MachineStatus> {
  await expect
    .poll(async () => (await statusOf(box)).instances.find(({ id }) => id === 'worker_gpu0')?.health)
    .toBe('ready');
  return statusOf(box);
}

/** Leaves an orphan in the namespace that ends by itself. */
const leaveOrphan = (init: number) =>
  expect(spawnSync('nsenter', ['-t', String(init), '-p', '-m', 'sh', '-c', 'sleep 0.1 & exit 0']).status).toBe(0);

test.skipIf(!isPermitted)('below an init it leaves no zombie, and nothing when it is asked to end', async () => {
  await using box = await openBox(undefined, oneSimulatedGpu);
  using namespaced = runAsInit(box, [...init, ...up]);
  const { daemon } = await ready(box);
  expect(daemon.pid).not.toBe(1);
  leaveOrphan(namespaced.init());
  await expect.poll(() => zombiesOf(namespaced.init())).toEqual([]);
  process.kill(namespaced.init(), 'SIGTERM');
  const { code, stdout, stderr } = await namespaced.ended();
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toMatch(/stopped\nleft: \/proc\/1\n$/);
  expect(readdirSync(join(box.root, 'run'))).toEqual([]);
});

test.skipIf(!isPermitted)('as process 1 it stops in order, and says that it collects no orphans', async () => {
  await using box = await openBox(undefined, oneSimulatedGpu);
  using namespaced = runAsInit(box, up);
  const { daemon } = await ready(box);
  expect(daemon.pid).toBe(1);
  leaveOrphan(namespaced.init());
  // Why it says so.
  await expect.poll(() => zombiesOf(namespaced.init())).toHaveLength(1);
  expect((await box.mgpu(['doctor'])).stdout).toMatch(/! init .*process 1/);
  process.kill(namespaced.init(), 'SIGTERM');
  const { code, stdout, stderr } = await namespaced.ended();
  expect(code).toBe(0);
  expect(stderr).toMatch(/process 1 here, and Node collects no orphans/);
  expect(stdout).toMatch(/stopped\n$/);
  expect(readdirSync(join(box.root, 'run'))).toEqual([]);
});
