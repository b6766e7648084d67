import { testContext } from '@mgpu/core/testing';
import { describe, expect, test } from 'vitest';
import { ComfyUIService } from '../src/comfyui-service.ts';
import { engineContract } from './engine-contract.ts';
import { connect, job, mockGpu, namesIn, slowGraph, startEngine, testIo } from './support.ts';

const { MGPU_REAL_COMFYUI: dir = '', MGPU_REAL_COMFYUI_PYTHON: python } = process.env;
const options = { dir, ...(python ? { python } : {}), args: ['--disable-api-nodes'] };

// Needs the test node SlowNode (packages/simulator/test/fixtures/slow_node.py) among the custom nodes of the checkout.
describe.skipIf(dir === '')('real ComfyUI (MGPU_REAL_COMFYUI=<checkout>)', () => {
  engineContract(() => startEngine(options));

  test('two at once from one checkout, which stays as it is, and an orderly end', { timeout: 120_000 }, async () => {
    const before = await namesIn(dir);
    await using first = await startEngine(options);
    const context = testContext({ kind: 'comfyui', gpu: mockGpu(1), root: first.context.layout.root });
    await using second = new ComfyUIService({ ...options, port: first.service.port + 1 }, context);
    await second.start();
    const [one, other] = await Promise.all([first.service.health(), second.health()]);
    expect([one.health, other.health]).toEqual(['ready', 'ready']);
    await Promise.all([first.service.stop(), second.stop()]);
    expect([first.service.status.lastExit, second.status.lastExit]).toMatchObject([{ code: 0 }, { code: 0 }]);
    expect(await namesIn(dir)).toEqual(before);
  });

  test('killed in the middle of a job and started again, it does the job', { timeout: 120_000 }, async () => {
    await using engine = await startEngine(options);
    await using connector = connect(engine);
    const io = testIo();
    const running = connector.run(job({ prompt: slowGraph({ seconds: 1 }) }), io);
    await io.until(({ node }) => node === '2');
    process.kill(engine.service.pid ?? 0, 'SIGKILL');
    await expect.poll(() => engine.service.status.state).toBe('failed');
    await engine.service.start();
    await running;
    expect(io.stored).toHaveLength(1);
    expect(io.checkpoints.map((each) => each.deaths)).toEqual([0, 1]);
  });
});
