import { readFileSync, statSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { MachineStatus } from '@mgpu/control';
import type { BootReport, JobStatus } from '@mgpu/core';
import { loadSettings, Machine } from '@mgpu/machine';
import { decode } from 'fast-png';
import { expect, test } from 'vitest';
import { invertWorkflow, isAlive, openBox, samplerWorkflow, statusOf } from './support.ts';

/** The first pixel, and whether all are the same. */
function pixels(path: string) {
  const { data, channels, width, height } = decode(readFileSync(path));
  const first = [...data.slice(0, 3)];
  const same = Array.from({ length: width * height }, (_, n) => n * channels).every((at) =>
    first.every((value, c) => data[at + c] === value),
  );
  return { width, height, first, same };
}

test('boots detached, tells its status, runs a workflow through the queue, and stops without a trace', async () => {
  await using box = await openBox();
  const up = await box.mgpu(['up', '--mock', '2', '--detach']);
  expect(up.stderr).toBe('');
  expect(up.code).toBe(0);
  expect(up.stdout).toMatch(/✔ ComfyUI .*\n/);

  const { apiVersion, kind, data } = (await box.mgpu(['status', '--json'])).json<MachineStatus>();
  expect({ apiVersion, kind }).toEqual({ apiVersion: 'mgpu/v1', kind: 'Status' });
  expect(data.daemon.pid).toBeGreaterThan(1);
  expect(data.instances.map(({ id }) => id).toSorted()).toEqual([
    'comfyui_gpu0',
    'comfyui_gpu1',
    'custom-nodes',
    'git-access',
    'http',
    'models',
    'nginx',
    'preinstalled-nodes',
    'redis',
    'ssh',
    'static-models',
    'watchdog',
    'worker_gpu0',
    'worker_gpu1',
    'workflows',
  ]);
  // They have done what there was to do, if there was anything.
  const idle = ['custom-nodes', 'models', 'preinstalled-nodes', 'ssh', 'static-models', 'workflows'];
  for (const each of data.instances.filter(({ kind }) => idle.includes(kind)))
    expect(each.state, each.id).toBe('completed');
  for (const each of data.instances.filter(({ kind }) => !idle.includes(kind))) {
    expect(each, each.id).toMatchObject({ state: 'running', health: 'ready' });
    expect(each.pid !== undefined, each.id).toBe(!['watchdog', 'git-access', 'http'].includes(each.kind));
  }
  expect(data.instances.find(({ id }) => id === 'comfyui_gpu1')).toMatchObject({
    kind: 'comfyui',
    gpu: 1,
    port: box.port + 1,
  });

  const tried = await box.mgpu(['phases']);
  expect(tried.stdout).toMatch(/^boot of \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC · [\d.]+ m?s · ✔ ok\n/);
  expect(tried.stdout).toMatch(/✔ verification .*\n {4}✔ comfyui_gpu0 .*\n {4}✔ comfyui_gpu1 /);
  for (const line of tried.stdout.split('\n')) expect(line.length, line).toBeLessThanOrEqual(80);
  const boot = (await box.mgpu(['phases', '--json'])).json<BootReport>();
  expect(boot).toMatchObject({ kind: 'Boot', data: { v: 1, outcome: 'ok', daemonRun: data.daemon.run } });
  expect(boot.data.phases.map(({ name }) => name)).toEqual(
    expect.arrayContaining(['control', 'environment', 'shared directories', 'pre-installed nodes', 'verification']),
  );

  const workflow = await box.writeJson('invert.json', invertWorkflow());
  const run = await box.mgpu(['run', workflow, '--out', 'pictures']);
  expect(run.stderr).toBe('');
  expect(pixels(run.stdout.trim())).toEqual({ width: 64, height: 48, first: [0, 255, 255], same: true });

  for (const colour of [0x00ff00, 0x0000ff]) {
    await box.mgpu(['run', await box.writeJson('other.json', invertWorkflow(colour)), '--out', 'pictures']);
  }
  expect(await readdir(join(box.dir, 'pictures', 'test'))).toHaveLength(3);

  const again = await box.mgpu(['run', workflow, '--json']);
  const job = again.json<JobStatus>().data;
  expect(job.result?.artifacts).toHaveLength(1);
  expect(job.result?.artifacts[0]).toMatchObject({
    mediaType: 'image/png',
    sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
  });

  const down = await box.mgpu(['down']);
  expect(down.code).toBe(0);
  const last = (await box.mgpu(['phases', '--json'])).json<BootReport>();
  expect(last.data).toEqual(boot.data);
  for (const { pid, id } of data.instances) expect(isAlive(pid), id).toBe(false);
  await expect.poll(() => isAlive(data.daemon.pid), { timeout: 20_000 }).toBe(false);
  expect(await readdir(join(box.root, 'run'))).toEqual([]);
});

test('is left alone by a second daemon, which names the first', async () => {
  await using box = await openBox();
  await box.mgpu(['up', '--mock', '1', '--detach']);
  const first = await statusOf(box);
  const second = await box.mgpu(['up', '--mock', '1']);
  expect(second.code).toBe(1);
  expect(second.stderr).toContain('CONTROL_ALREADY_RUNNING');
  expect(second.stderr).toContain(String(first.daemon.pid));
  const after = await statusOf(box);
  expect(after.instances.map(({ pid }) => pid)).toEqual(first.instances.map(({ pid }) => pid));
  expect(await readdir(join(box.root, 'state', 'boots'))).toEqual([`${first.daemon.run}.json`]);
});

test('asked to come up twice, even at the same moment, comes up once', async () => {
  await using box = await openBox();
  const both = await Promise.all([
    box.mgpu(['up', '--mock', '1', '--detach', '--json']),
    box.mgpu(['up', '--mock', '1', '--detach', '--json']),
  ]);
  for (const each of both) expect(each).toMatchObject({ code: 0, stderr: '' });
  const [before, same] = both.map((each) => each.json<MachineStatus>().data);
  expect(same?.daemon).toEqual(before?.daemon);
  const again = await box.mgpu(['up', '--mock', '2', '--detach']);
  expect(again.code).toBe(0);
  expect(again.stderr).toContain('it runs with other GPUs than asked for');
  const after = await statusOf(box);
  expect(after.instances.map(({ pid }) => pid)).toEqual(before?.instances.map(({ pid }) => pid));
});

test('without nginx it is as well up the second time as the first', async () => {
  await using box = await openBox(() => ({ nginx: { program: '/nowhere/nginx' } }));
  for (const stdout of [/– nginx |✖ nginx /, /already running/]) {
    const up = await box.mgpu(['up', '--mock', '1', '--detach']);
    expect(up.code).toBe(0);
    expect(up.stdout).toMatch(stdout);
  }
});

test('starts nothing while it goes down', async () => {
  await using box = await openBox(() => ({ worker: { drainMs: 60_000 } }));
  await box.mgpu(['up', '--mock', '1', '--detach'], { MGPU_SIM: JSON.stringify({ stepMs: 100 }) });
  const run = box.start(['run', await box.writeJson('slow.json', samplerWorkflow(600)), '--watch']);
  await run.printed(/step \d+ of 600/);
  const down = box.start(['down']);
  await down.printed(/stopping .*worker_gpu0/);
  await expect.poll(async () => (await box.mgpu(['status'])).stdout, { timeout: 20_000 }).toMatch(/· stopping$/m);
  const probes = ['/live', '/ready', '/health'].map((path) => fetch(`http://127.0.0.1:${box.port + 21}${path}`));
  expect((await Promise.all(probes)).map(({ status }) => status)).toEqual([200, 503, 503]);
  const up = await box.mgpu(['up', '--mock', '1', '--detach']);
  expect(up.code).toBe(1);
  expect(up.stderr).toContain('MACHINE_STOPPING');
  await box.mgpu(['down', '--force']);
  expect((await down.ended).code).toBe(0);
});

test('Ctrl-C during the boot, detached or not, leaves nothing and needs no explanation', async () => {
  await using box = await openBox();
  for (const detach of [[], ['--detach']]) {
    const up = box.start(['up', '--mock', '1', ...detach], { MGPU_SIM: JSON.stringify({ startMs: 600_000 }) });
    await up.printed(/✔ environment/);
    up.kill('SIGINT');
    const { code, stderr } = await up.ended;
    expect(code).toBe(1);
    expect(stderr).toBe('');
    expect(await readdir(join(box.root, 'run'))).toEqual([]);
  }
});

test('a boot that fails frees the root before it rejects', async () => {
  await using box = await openBox(() => ({ comfyui: { gpus: [5] } }));
  const settings = await loadSettings({ cwd: box.dir, env: { PATH: process.env.PATH }, mock: 1 });
  await using machine = new Machine(settings, { survive: false });
  const [waiting, booting] = await Promise.allSettled([machine.up(), machine.boot()]);
  for (const each of [waiting, booting])
    expect(each).toMatchObject({ status: 'rejected', reason: { code: 'CORE_GPU_OUT_OF_RANGE' } });
  expect(await readdir(join(box.root, 'run'))).toEqual([]);
  await machine.ended;
});

test('tells the end of its boot, and of one that starts later what was missing', async () => {
  await using box = await openBox(() => ({ watchdog: { enabled: false } }));
  const settings = await loadSettings({ cwd: box.dir, env: { PATH: process.env.PATH }, mock: 1 });
  await using machine = new Machine(settings, { survive: false });
  const boots: unknown[] = [];
  const failed = Promise.withResolvers<void>();
  machine.subscribe(({ event, data }) => {
    if (event === 'boot') boots.push(data);
    if (event === 'instance' && data.state === 'failed') failed.resolve();
  });
  const first = await machine.boot();
  expect(boots).toEqual([{ report: first }]);
  await machine.up();
  expect(boots).toHaveLength(1);
  process.kill(machine.status().instances.find(({ kind }) => kind === 'worker')?.pid ?? 0, 'SIGKILL');
  await failed.promise;
  const second = await machine.up();
  expect(second.phases.map(({ name }) => name)).not.toContain('ComfyUI');
  expect(boots).toEqual([{ report: first }, { report: second }]);
});

test('in the foreground answers with its status in JSON', async () => {
  await using box = await openBox();
  const up = box.start(['up', '--mock', '1', '--json']);
  await up.printed(/\n}\n$/);
  up.kill('SIGINT');
  const ended = await up.ended;
  expect(ended.code).toBe(0);
  expect(ended.json<MachineStatus>()).toMatchObject({ kind: 'Status', data: { state: 'running' } });
});

test('in the foreground shows its phases, keeps a trace, and ends at Ctrl-C with exit code 0', async () => {
  await using box = await openBox();
  const up = box.start(['up', '--mock', '1']);
  await up.printed(/worker_gpu0 +ready/);
  up.kill('SIGINT');
  const { code, stdout } = await up.ended;
  expect(code).toBe(0);
  expect(stdout).toMatch(/✔ control[\s\S]*✔ environment[\s\S]*✔ Redis /);
  const [trace] = await readdir(join(box.root, 'state', 'boots'));
  const report = JSON.parse(readFileSync(join(box.root, 'state', 'boots', trace ?? ''), 'utf8'));
  expect(report).toMatchObject({ v: 1, outcome: 'ok', totalMs: expect.any(Number) });
  expect(report.phases.map(({ name }: { name: string }) => name)).toContain('ComfyUI');
  expect(statSync(join(box.root, 'run')).mode & 0o077).toBe(0);
});

test('says that no daemon runs with exit code 3', async () => {
  await using box = await openBox();
  for (const command of [['status'], ['down']]) {
    const { code, stderr } = await box.mgpu(command);
    expect(code).toBe(3);
    expect(stderr).toMatch(/no mgpu daemon is running here.*CONTROL_NOT_RUNNING[\s\S]*→ start it/);
  }
});
