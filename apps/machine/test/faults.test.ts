import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { InstanceStatus, JobStatus } from '@mgpu/core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  type Box,
  invertWorkflow,
  oneSimulatedGpu,
  openBox,
  samplerWorkflow,
  startRedis,
  statusOf,
} from './support.ts';

const slowSteps = { MGPU_SIM: JSON.stringify({ stepMs: 100 }) };

/** A box whose queue is a Redis of the test's own, on the port 30 after its first. */
const openBoxOnRedis = () =>
  openBox((port) => ({ redis: { url: `redis://127.0.0.1:${port + 30}` }, nginx: { enabled: false } }), oneSimulatedGpu);

async function instance(box: Box, id: string): Promise<InstanceStatus | undefined> {
  return (await statusOf(box)).instances.find((each) => each.id === id);
}

// They wait more than they work: for what takes a daemon, a worker or a client seconds to notice.
describe.concurrent('a queue of its own', () => {
  test('Redis that goes away and comes back mid-job loses nothing and does nothing twice', {
    timeout: 90_000,
  }, async ({ expect }) => {
    await using box = await openBoxOnRedis();
    let redis = await startRedis(box.port + 30, box.dir);
    try {
      const up = await box.mgpu(['up', '--detach'], slowSteps);
      expect(up.stderr).toBe('');
      const workflow = await box.writeJson('slow.json', samplerWorkflow(30));
      const run = box.start(['run', workflow, '--watch', '--out', 'pictures']);
      await run.printed(/step \d+ of 30/);
      await redis.kill();
      await expect
        .poll(async () => (await instance(box, 'worker_gpu0'))?.health, { timeout: 20_000 })
        .not.toBe('ready');
      expect(await instance(box, 'comfyui_gpu0')).toMatchObject({ state: 'running', health: 'ready' });
      redis = await startRedis(box.port + 30, box.dir);
      const { code, stdout } = await run.ended;
      expect(stdout).toMatch(/pictures\/sampled_00001_\.png/);
      expect(code).toBe(0);
      const outputs = join(box.root, 'comfyui_gpu0', 'output');
      expect(existsSync(join(outputs, 'sampled_00001_.png'))).toBe(true);
      expect(existsSync(join(outputs, 'sampled_00002_.png'))).toBe(false);
    } finally {
      await redis.kill();
    }
  });

  test('a Redis that is not there leaves the machine up and says so; jobs flow when it appears', async ({ expect }) => {
    await using box = await openBoxOnRedis();
    const up = await box.mgpu(['up', '--detach']);
    expect(up.code).toBe(0);
    expect(await instance(box, 'redis')).toMatchObject({ state: 'running', health: 'notReady' });
    expect(await instance(box, 'worker_gpu0')).toMatchObject({
      state: 'running',
      reason: { message: expect.stringContaining(`127.0.0.1:${box.port + 30}`) },
    });
    const workflow = await box.writeJson('invert.json', invertWorkflow());
    const early = await box.mgpu(['run', workflow]);
    expect(early.code).toBe(1);
    expect(early.stderr).toContain('WORKER_REDIS_UNREACHABLE');
    const redis = await startRedis(box.port + 30, box.dir);
    try {
      await expect.poll(async () => (await instance(box, 'worker_gpu0'))?.health, { timeout: 20_000 }).toBe('ready');
      expect((await box.mgpu(['run', workflow])).code).toBe(0);
    } finally {
      await redis.kill();
    }
  });

  test('a second Ctrl-C leaves `mgpu run` when nobody can confirm that the job was cancelled', async ({ expect }) => {
    await using box = await openBoxOnRedis();
    const redis = await startRedis(box.port + 30, box.dir);
    await using _ = { [Symbol.asyncDispose]: () => redis.kill() };
    await box.mgpu(['up', '--detach'], slowSteps);
    const run = box.start(['run', await box.writeJson('slow.json', samplerWorkflow(600)), '--watch']);
    await run.printed(/step \d+ of 600/);
    await redis.kill();
    run.kill('SIGINT');
    run.kill('SIGTERM');
    const { code, stderr } = await run.ended;
    expect(code).toBe(1);
    expect(stderr).toMatch(/may still run.*MACHINE_CANCEL_UNCONFIRMED/);
  });
});

describe('an engine that takes its time', () => {
  let box: Box;
  beforeAll(async () => {
    box = await openBox();
    await box.mgpu(['up', '--mock', '1', '--detach'], slowSteps);
  }, 60_000);
  afterAll(() => box[Symbol.asyncDispose](), 60_000);

  test('Ctrl-C in `mgpu run` interrupts the engine, and takes a waiting job out of the queue', async () => {
    const workflow = await box.writeJson('slow.json', samplerWorkflow(600));
    const running = box.start(['run', workflow, '--watch']);
    await running.printed(/step \d+ of 600/);
    const waiting = box.start(['run', workflow, '--watch']);
    await waiting.printed(/waiting/);
    for (const run of [waiting, running]) {
      run.kill('SIGINT');
      const { code, stdout, stderr } = await run.ended;
      expect(code).toBe(1);
      expect(stderr).toBe('');
      expect(stdout).toMatch(/was cancelled/);
    }
    const next = await box.mgpu(['run', await box.writeJson('invert.json', invertWorkflow()), '--json']);
    expect(next.json<JobStatus>().data.state).toBe('completed');
  });

  test('a worker killed mid-job is restarted, and the job is not lost', async () => {
    const worker = await instance(box, 'worker_gpu0');
    const run = box.start(['run', await box.writeJson('slow.json', samplerWorkflow(50)), '--watch']);
    await run.printed(/step \d+ of 50/);
    process.kill(worker?.pid ?? 0, 'SIGKILL');
    await expect.poll(async () => (await instance(box, 'worker_gpu0'))?.pid).not.toBe(worker?.pid);
    expect((await instance(box, 'comfyui_gpu0'))?.state).toBe('running');
    expect((await run.ended).code).toBe(0);
    expect(existsSync(join(box.root, 'comfyui_gpu0', 'output', 'sampled_00002_.png'))).toBe(false);
  });
});
