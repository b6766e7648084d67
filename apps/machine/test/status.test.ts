import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { type MachineStatus, socketPathOf } from '@mgpu/control';
import { bootId, layoutOf } from '@mgpu/core';
import { comfyuiProgram, type GpuSimulationInput, nvidiaSmiProgram } from '@mgpu/simulator';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { type Box, isAlive, openBox, samplerWorkflow } from './support.ts';

const uuids = ['GPU-aaaa', 'GPU-bbbb'] as const;
const gpus: GpuSimulationInput = {
  count: 2,
  gpus: [
    { uuid: uuids[0], utilizationPercent: 83, memoryUsedMiB: 18_432, temperatureC: 71 },
    { uuid: uuids[1], eccUncorrected: 2 },
  ],
};

/** Two GPUs that nvidia-smi, simulated, tells all of; ComfyUI takes its time for each step. */
async function openGpuBox(): Promise<{ box: Box; env: Record<string, string> }> {
  const box = await openBox(
    () => ({
      comfyui: { command: [process.execPath, comfyuiProgram()] },
      // One that may take a further job ahead of time leaves no pause that could be counted.
      worker: { concurrency: 1 },
      nginx: { enabled: false },
    }),
    { gpu: { mode: 'nvidia', count: 2 } },
  );
  mkdirSync(join(box.dir, 'bin'));
  const program = join(box.dir, 'bin', 'nvidia-smi');
  writeFileSync(program, `#!/bin/sh\nexec ${process.execPath} ${nvidiaSmiProgram()} "$@"\n`, { mode: 0o755 });
  writeFileSync(join(box.dir, 'gpus.json'), JSON.stringify(gpus));
  return {
    box,
    env: {
      PATH: `${join(box.dir, 'bin')}:${process.env.PATH}`,
      MGPU_SIM_GPUS: `@${join(box.dir, 'gpus.json')}`,
      MGPU_SIM: JSON.stringify({ stepMs: 200 }),
    },
  };
}

async function metricsOf(box: Box): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  request({ socketPath: socketPathOf(layoutOf(box.root)), path: '/metrics' }, (response) => {
    text(response).then(resolve, reject);
  })
    .on('error', reject)
    .end();
  return await promise;
}

/** A command on a terminal of its own, as `script` makes one; `screen` is all that was sent to it, ␛ for Escape. */
function onTerminal(box: Box, args: readonly string[], { columns, rows }: { columns: number; rows: number }) {
  const cli = join(import.meta.dirname, '../bin/mgpu.js');
  const command = `stty cols ${columns} rows ${rows}; exec ${process.execPath} ${cli} ${args.join(' ')}`;
  const child: ChildProcess = spawn('script', ['--quiet', '--return', '--command', command, '/dev/null'], {
    cwd: box.dir,
    env: { PATH: process.env.PATH ?? '', HOME: box.dir, TERM: 'xterm-256color' },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  let screen = '';
  child.stdout?.on('data', (chunk) => {
    screen += chunk;
  });
  const ended = new Promise<number | null>((resolve) => void child.once('close', resolve));
  return {
    screen: () => screen.replaceAll('\u001B', '␛'),
    type: (keys: string) => void child.stdin?.write(keys),
    ended,
  };
}

describe('the status of a machine', () => {
  let box: Box;
  let env: Record<string, string>;
  const status = async () => (await box.mgpu(['status', '--json'], env)).json<MachineStatus>().data;

  beforeAll(async () => {
    ({ box, env } = await openGpuBox());
    const up = await box.mgpu(['up', '--detach'], env);
    expect(up.stderr).toBe('');
  }, 120_000);
  afterAll(() => box[Symbol.asyncDispose]());

  test('has what was measured of each GPU, and is told again when that changes', { timeout: 60_000 }, async () => {
    await expect.poll(status, { timeout: 30_000 }).toMatchObject({
      gpus: [
        {
          uuid: uuids[0],
          gauges: { utilizationPercent: 83, memoryUsedMiB: 18_432, memoryTotalMiB: 24_564, temperatureC: 71 },
        },
        { uuid: uuids[1], gauges: { eccUncorrected: 2, powerW: 20, powerLimitW: 450 } },
      ],
    });
    writeFileSync(
      join(box.dir, 'gpus.json'),
      JSON.stringify({ ...gpus, gpus: [{ ...gpus.gpus?.[0], temperatureC: 88 }, gpus.gpus?.[1]] }),
    );
    await expect.poll(async () => (await status()).gpus[0]?.gauges?.temperatureC, { timeout: 30_000 }).toBe(88);
    const { stdout } = await box.mgpu(['status'], env);
    expect(stdout).toMatch(/^0 +GeForce RTX 4090 +83 % +18\.0\/24\.0 GiB +88 °C +352\/450 W +ok$/m);
    expect(stdout).toMatch(/^1 .* 2 ECC$/m);
    expect(stdout).toMatch(/^comfyui_gpu0 +ready +\d+ +\d+ +\d+ s +0$/m);
    expect(stdout).toMatch(/^queue +comfyui 0 waiting, 0 active$/m);
    for (const line of stdout.split('\n')) expect(line.length, line).toBeLessThanOrEqual(80);
    expect(stdout).not.toContain('\u001B');
  });

  test('says which job an engine works on and how far it is, what waits, and counts it when it has ended', {
    timeout: 90_000,
  }, async () => {
    const workflow = await box.writeJson('slow.json', samplerWorkflow(20));
    const runs = [1, 2, 3].map(() => box.mgpu(['run', workflow], env));
    const busy = async () => {
      const { instances, queues } = await status();
      const work = instances.filter(({ kind }) => kind === 'comfyui').flatMap((each) => each.work ?? []);
      return { queues, jobs: work.map(({ job }) => job.split('.')[0]), isAhead: work.some((each) => each.progress) };
    };
    await expect.poll(busy, { timeout: 60_000 }).toEqual({
      queues: [{ type: 'comfyui', waiting: 1, active: 2, delayed: 0, failed: 0 }],
      jobs: ['comfyui', 'comfyui'],
      isAhead: true,
    });
    expect((await box.mgpu(['status'], env)).stdout).toMatch(/^comfyui_gpu0 +ready .* \d+ % \d+ s comfyui\./m);
    expect((await Promise.all(runs)).map(({ code }) => code)).toEqual([0, 0, 0]);

    const completed = async () =>
      [...(await metricsOf(box)).matchAll(/^mgpu_job_attempts_total\{.*outcome="completed"\} (\d+)$/gm)]
        .map(([, count]) => Number(count))
        .reduce((sum, each) => sum + each, 0);
    await expect.poll(completed, { timeout: 20_000 }).toBe(3);
    const metrics = await metricsOf(box);
    expect(metrics).toMatch(/^mgpu_gpu_idle_between_jobs_total\{.*\} 1$/m);
    expect(metrics).toMatch(/^mgpu_instance_memory_bytes\{id="comfyui_gpu0",kind="comfyui",gpu="0"\} \d{7,}$/m);
    expect(metrics).toMatch(/^mgpu_instance_log_bytes_total\{id="comfyui_gpu1",kind="comfyui",gpu="1"\} [1-9]\d+$/m);
    expect(metrics).toContain(`mgpu_gpu_utilization_ratio{gpu="0",uuid="${uuids[0]}"} 0.83`);
  });

  test('tells of a GPU that is out of service, and of the last incident', { timeout: 60_000 }, async () => {
    const file = join(box.root, 'state', 'quarantine', `${uuids[1]}.json`);
    writeFileSync(
      file,
      JSON.stringify({ gpu: uuids[1], at: '', bootId: bootId(), reason: 'it smells', hint: 'open a window' }),
    );
    onTestFinished(() => rmSync(file, { force: true }));
    await expect
      .poll(async () => (await status()).gpus[1]?.outOfService, { timeout: 20_000 })
      .toEqual({ reason: 'it smells', hint: 'open a window', since: '' });
    expect((await box.mgpu(['status'], env)).stdout).toContain('! GPU 1 is out of service: it smells (open a window)');
    rmSync(file);

    const { instances } = await status();
    const { pid = 0 } = instances.find(({ id }) => id === 'worker_gpu0') ?? {};
    process.kill(pid, 'SIGKILL');
    await expect
      .poll(async () => (await status()).lastIncident, { timeout: 20_000 })
      .toMatchObject({ subject: 'worker_gpu0', code: 'CORE_PROCESS_EXITED' });
    expect((await box.mgpu(['status'], env)).stdout).toMatch(/^last incident [\s\S]*\(mgpu\s+why\s+worker_gpu0\)$/m);
  });

  test('goes on with --watch until Ctrl-C, a line of JSON for each change', { timeout: 60_000 }, async () => {
    const watch = box.start(['status', '--watch', '--json'], env);
    await watch.printed(/"kind":"Status".*\n/);
    expect((await box.mgpu(['stop', 'worker_gpu1'], env)).code).toBe(0);
    await watch.printed(/"id":"worker_gpu1",[^}]*"state":"stopped"/);
    watch.kill('SIGINT');
    const { code, stdout } = await watch.ended;
    expect(code).toBe(0);
    const lines = stdout.trimEnd().split('\n');
    expect(new Set(lines).size).toBe(lines.length);
    for (const line of lines) expect(JSON.parse(line)).toMatchObject({ apiVersion: 'mgpu/v1', kind: 'Status' });
    expect((await box.mgpu(['start', 'worker_gpu1'], env)).code).toBe(0);
  });

  const hasScript = spawnSync('script', ['--version']).status === 0;
  test.skipIf(!hasScript)(
    'is drawn in place on a terminal, which is as before afterwards',
    {
      timeout: 60_000,
    },
    async () => {
      const wide = onTerminal(box, ['status', '--watch'], { columns: 100, rows: 12 });
      await expect.poll(wide.screen, { timeout: 30_000 }).toContain('more lines');
      // The first page, and only then single lines.
      expect(wide.screen()).toMatch(/^␛\[\?1049h␛\[\?25l␛\[1;1H/);
      await expect.poll(() => wide.screen().match(/␛\[1;1H/g)?.length, { timeout: 30_000 }).toBeGreaterThan(1);
      expect(wide.screen().match(/GeForce RTX 4090/g)).toHaveLength(2);
      wide.type('no such key');
      wide.type('q');
      expect(await wide.ended).toBe(0);
      expect(wide.screen()).not.toContain('no such key');
      expect(wide.screen()).toMatch(/␛\[\?25h␛\[\?1049l[^␛]*$/);
    },
  );
  test.skipIf(!hasScript)('ends at Ctrl-C on a terminal, too', async () => {
    const watch = onTerminal(box, ['status', '--watch'], { columns: 80, rows: 24 });
    await expect.poll(watch.screen, { timeout: 30_000 }).toContain('␛[1;1H');
    watch.type('\u0003');
    expect(await watch.ended).toBe(0);
  });
});

test('without a daemon it tells what one has left running, the last boot, and exit code 3', {
  timeout: 90_000,
}, async () => {
  await using box = await openBox();
  const never = await box.mgpu(['status']);
  expect(never).toMatchObject({ code: 3, stdout: expect.stringContaining('it was never booted') });

  await box.mgpu(['up', '--mock', '1', '--detach']);
  const { daemon, instances, gpus: simulated } = (await box.mgpu(['status', '--json'])).json<MachineStatus>().data;
  expect(simulated).toMatchObject([{ mode: 'mock' }]);
  expect(simulated[0]).not.toHaveProperty('gauges'); // nobody measures what is not there
  process.kill(daemon.pid, 'SIGKILL');
  await expect.poll(() => isAlive(daemon.pid)).toBe(false);

  const { code, stdout, stderr } = await box.mgpu(['status']);
  expect(code).toBe(3);
  expect(stderr).toMatch(/CONTROL_NOT_RUNNING[\s\S]*→ start it/);
  const { pid } = instances.find(({ id }) => id === 'comfyui_gpu0') ?? {};
  expect(stdout).toMatch(new RegExp(`^comfyui_gpu0 +${pid} +${box.port} +\\d+ s$`, 'm'));
  expect(stdout).toMatch(/^last boot +\d+ s ago: (ok|degraded), /m);

  const answer = (await box.mgpu(['status', '--json'])).json<{ code: string; offline: { survivors: object[] } }>();
  expect(answer).toMatchObject({ kind: 'Error', data: { code: 'CONTROL_NOT_RUNNING', offline: { root: box.root } } });
  const running = instances.filter((each) => each.pid !== undefined).map(({ id }) => id);
  expect(answer.data.offline.survivors).toMatchObject(running.toSorted().map((instance) => ({ instance })));
  // It changed nothing.
  expect(isAlive(pid)).toBe(true);
  expect(readFileSync(join(box.root, 'run', 'comfyui_gpu0.json'), 'utf8')).toContain(String(pid));
});
