import { randomUUID } from 'node:crypto';
import { JobHandoverError, MgpuError } from '@mgpu/core';
import { type TestIo, testIo } from '@mgpu/core/testing';
import { expect, test } from 'vitest';
import { between } from './between.ts';
import {
  connect,
  inverted,
  invertGraph,
  isPlain,
  job,
  nextColour,
  slowGraph,
  startEngine,
  type TestEngine,
} from './support.ts';

const promptIdOf = ({ checkpoints }: TestIo) => (checkpoints.at(-1) as { promptId: string }).promptId;
const pending = (engine: TestEngine, count: number) =>
  expect.poll(async () => (await engine.state()).pending).toBe(count);
const executed = async (engine: TestEngine) => (await engine.state()).executedPrompts;

test('a websocket that is cut in the middle of a job doubles nothing, and progress goes on', async () => {
  await using engine = await startEngine();
  await using connector = connect(engine);
  const io = testIo();
  const running = connector.run(job({ prompt: slowGraph({ seconds: 60, steps: 1_200 }) }), io);
  const told = expect(running).rejects.toMatchObject({ code: 'COMFYUI_INTERRUPTED' });
  await io.until(({ node }) => node === '2');
  await engine.faults({ websocket: { dropAfter: 0, times: 1 } });
  const seen = io.reports.length;
  await io.until((progress) => io.reports.indexOf(progress) > seen + 5);
  await engine.client.interrupt();
  await told;
  expect(io.checkpoints).toHaveLength(1);
  expect(await executed(engine)).toBe(1);
  const next = testIo();
  await connector.run(job({ prompt: invertGraph() }), next);
  expect(next.reports.at(-1)).toEqual({ percent: 100 });
  await expect.poll(async () => (await engine.state()).sockets).toBe(1);
});

test('a websocket that is cut after any number of messages loses nothing', async () => {
  await using engine = await startEngine();
  await using connector = connect(engine);
  for (const dropAfter of [1, 2, 3, 4, 5, 6, 8, 10, 12, 14]) {
    await engine.faults({ websocket: { dropAfter, times: 1 } });
    const io = testIo();
    const color = nextColour();
    await connector.run(job({ prompt: invertGraph({ color }) }), io);
    expect(isPlain(io.stored[0]?.content, inverted(color)), `after ${dropAfter} messages`).toBe(true);
  }
  expect(await executed(engine)).toBe(10);
});

test('without any websocket jobs end just the same', async () => {
  await using engine = await startEngine({ sim: { faults: { websocket: { refuse: true } } } });
  await using connector = connect(engine);
  const ios = Array.from({ length: 5 }, testIo);
  await Promise.all(ios.map((io) => connector.run(job({ prompt: invertGraph() }), io)));
  expect(ios.map(({ stored }) => stored.length)).toEqual([1, 1, 1, 1, 1]);
  const failing = connector.run(job({ prompt: slowGraph({ seconds: 0.1, steps: 2, failAtStep: 2 }) }), testIo());
  await expect(failing).rejects.toMatchObject({ code: 'COMFYUI_EXECUTION_FAILED', details: { node: '2' } });
  const io = testIo();
  const cancelled = connector.run(job({ prompt: slowGraph({ seconds: 60, steps: 600 }) }), io);
  await expect.poll(async () => (await engine.state()).running).not.toBeNull();
  io.abort(new MgpuError('cancelled', { code: 'TEST_CANCELLED' }));
  await expect(cancelled).rejects.toMatchObject({ code: 'TEST_CANCELLED' });
  expect((await engine.state()).running).toBeNull();
});

test('a websocket that has gone silent is not waited for', async () => {
  await using engine = await startEngine();
  await using proxy = await between(engine.service.endpoint.url);
  await using connector = connect(engine, { quietMs: 100 }, { url: proxy.url });
  await connector.ready(new AbortController().signal);
  await engine.faults({ websocket: { mute: true } });
  const ios = [testIo(), testIo()];
  for (const io of ios) await connector.run(job({ prompt: invertGraph() }), io);
  expect(ios.map(({ stored }) => stored.length)).toEqual([1, 1]);
  // Another may do better.
  expect(proxy.asked.filter((each) => each === 'GET /ws')).toHaveLength(2);
});

test('an engine that dies with a job gets it again, once it is back', async () => {
  await using engine = await startEngine();
  await using connector = connect(engine);
  const [first, waiting] = [testIo(), testIo()];
  // Until it is started again, which forgets the fault.
  await engine.faults({ hang: { match: 'SlowNode', atNode: 2 } });
  const running = connector.run(job({ prompt: slowGraph({ seconds: 0.1 }) }), first);
  await first.until(({ node }) => node === '2');
  const color = nextColour();
  const queued = connector.run(job({ prompt: invertGraph({ color }) }), waiting);
  await pending(engine, 1);
  process.kill(engine.service.pid ?? 0, 'SIGKILL');
  await expect.poll(() => engine.service.status.state).toBe('failed');
  await engine.service.start();
  await Promise.all([running, queued]);
  expect(first.stored).toHaveLength(1);
  expect(isPlain(waiting.stored[0]?.content, inverted(color))).toBe(true);
  expect(first.checkpoints.map((each) => each.deaths)).toEqual([0, 1]);
  expect(waiting.checkpoints.map((each) => each.deaths)).toEqual([0, 0]);
  expect(await executed(engine)).toBe(2);
});

test('a job that ended while the engine was out of sight is not done again', async () => {
  await using engine = await startEngine();
  await using proxy = await between(engine.service.endpoint.url);
  await using connector = connect(engine, {}, { url: proxy.url });
  const io = testIo();
  const running = connector.run(job({ prompt: slowGraph({ seconds: 60 }) }), io);
  const told = expect(running).rejects.toMatchObject({ code: 'COMFYUI_INTERRUPTED' });
  await io.until(({ node }) => node === '2');
  proxy.judge = () => 'cut';
  proxy.cutSockets();
  await engine.client.interrupt();
  await expect.poll(() => engine.client.history(promptIdOf(io))).toBeDefined();
  proxy.judge = () => 'pass';
  await told;
  expect(io.checkpoints).toHaveLength(1);
  expect(await executed(engine)).toBe(1);
});

test('an engine that does not come back is told after a while', async () => {
  await using engine = await startEngine();
  await using connector = connect(engine, { goneMs: 300 });
  const [begun, waiting] = [testIo(), testIo()];
  const running = connector.run(job({ prompt: slowGraph({ seconds: 60 }) }), begun);
  await begun.until(({ node }) => node === '2');
  const queued = connector.run(job({ prompt: invertGraph() }), waiting);
  await pending(engine, 1);
  const told = Promise.all([
    expect(running).rejects.toMatchObject({
      code: 'COMFYUI_ENGINE_LOST',
      retryable: true,
      details: { fault: 'engine-fault' },
    }),
    expect(queued).rejects.toMatchObject({ code: 'COMFYUI_ENGINE_LOST', details: { fault: 'retryable' } }),
  ]);
  process.kill(engine.service.pid ?? 0, 'SIGKILL');
  await told;
});

test('a job that kills its engine twice is not given to it a third time', async () => {
  await using engine = await startEngine({ sim: { faults: { dieMidJob: { match: 'deadly' } } } });
  await using connector = connect(engine);
  const running = connector.run(job({ prompt: invertGraph({ prefix: 'deadly' }) }), testIo());
  const told = expect(running).rejects.toMatchObject({
    code: 'COMFYUI_JOB_KILLS_ENGINE',
    retryable: false,
    details: { deaths: 2 },
  });
  await expect.poll(() => engine.service.status.state).toBe('failed');
  // The job comes back with the engine's first answer, perhaps before the engine counts as started.
  await Promise.allSettled([engine.service.start()]);
  await expect.poll(() => engine.service.status.state).toBe('failed');
  await engine.service.start();
  await told;
});

test('a broken GPU is the engine’s fault', async () => {
  await using engine = await startEngine({
    sim: {
      faults: {
        raise: { type: 'torch.AcceleratorError', message: 'CUDA error: an illegal memory access was encountered' },
      },
    },
  });
  await using connector = connect(engine);
  await expect(connector.run(job({ prompt: invertGraph() }), testIo())).rejects.toMatchObject({
    code: 'COMFYUI_ENGINE_FAULT',
    details: { fault: 'engine-fault', exceptionType: 'torch.AcceleratorError' },
  });
  await engine.faults({ outOfMemory: {} });
  await expect(connector.run(job({ prompt: invertGraph() }), testIo())).rejects.toMatchObject({
    code: 'COMFYUI_OUT_OF_MEMORY',
  });
});

test('an answer to the submission that makes no sense does not double the job', async () => {
  await using engine = await startEngine();
  await using connector = connect(engine);
  await connector.ready(new AbortController().signal);
  await engine.faults({ garbageJson: { paths: ['/prompt'], times: 1 } });
  const io = testIo();
  await connector.run(job({ prompt: invertGraph() }), io);
  expect(io.stored).toHaveLength(1);
  expect(io.checkpoints).toHaveLength(1);
  expect(await executed(engine)).toBe(1);
});

test('an engine that only talks nonsense is told after a while', async () => {
  await using engine = await startEngine();
  await using connector = connect(engine, { goneMs: 200 });
  await engine.faults({ garbageJson: {}, websocket: { refuse: true } });
  await expect(connector.run(job({ prompt: invertGraph() }), testIo())).rejects.toMatchObject({
    code: 'COMFYUI_BAD_ANSWER',
    retryable: true,
  });
  await engine.faults({});
});

test('a job that somebody takes out of the queue is not put back', async () => {
  await using engine = await startEngine();
  await using connector = connect(engine, { quietMs: 50 });
  const [first, second] = [testIo(), testIo()];
  const running = connector.run(job({ prompt: slowGraph({ seconds: 60 }) }), first);
  const interrupted = expect(running).rejects.toMatchObject({ code: 'COMFYUI_INTERRUPTED' });
  await first.until(({ node }) => node === '2');
  const waiting = connector.run(job({ prompt: invertGraph() }), second);
  const told = expect(waiting).rejects.toMatchObject({ code: 'COMFYUI_PROMPT_REMOVED', retryable: false });
  await pending(engine, 1);
  await engine.client.deletePending([promptIdOf(second)]);
  await told;
  await engine.client.interrupt();
  await interrupted;
});

test('a resumed job is found waiting, too', async () => {
  await using engine = await startEngine();
  await using proxy = await between(engine.service.endpoint.url);
  await using connector = connect(engine, {}, { url: proxy.url });
  await engine.client.submit(slowGraph({ seconds: 60 }));
  const prompt = invertGraph();
  const { promptId } = await engine.client.submit(prompt);
  const io = testIo();
  const resumed = { v: 1, promptId, clientId: null, deaths: 0 };
  const running = connector.run(job({ prompt }, { resumed }), io);
  await expect.poll(() => proxy.asked).toContain('GET /queue');
  await engine.client.interrupt();
  await running;
  expect(io.stored).toHaveLength(1);
  expect(io.checkpoints).toEqual([]);
  expect(await executed(engine)).toBe(2);
});

test('a resumed job tells its progress', async () => {
  await using engine = await startEngine();
  const [left, resumed] = [testIo(), testIo()];
  const input = { prompt: slowGraph({ seconds: 60, steps: 1_200 }) };
  const stopping = new JobHandoverError({ job: 'a', worker: 'worker_gpu0' });
  {
    await using connector = connect(engine);
    const running = connector.run(job(input), left);
    await left.until(({ node }) => node === '2');
    left.abort(stopping);
    await expect(running).rejects.toBe(stopping);
  }
  // An engine that sees the old connection end after the new one has come forgets both.
  await expect.poll(async () => (await engine.state()).sockets).toBe(0);
  await using connector = connect(engine);
  const running = connector.run(job(input, { resumed: left.checkpoints[0] }), resumed);
  const told = expect(running).rejects.toMatchObject({ code: 'COMFYUI_INTERRUPTED' });
  await resumed.until(({ node, step = 0 }) => node === '2' && step > 1);
  await engine.client.interrupt();
  await told;
  await expect.poll(async () => (await engine.state()).sockets).toBe(0);
});

test('previews reach their own job', async () => {
  await using engine = await startEngine({ sim: { stepMs: 10 }, args: ['--preview-method', 'latent2rgb'] });
  await using connector = connect(engine);
  const sampler = (seed: number) => ({
    1: { class_type: 'CheckpointLoaderSimple', inputs: { ckpt_name: 'sd_xl_base_1.0.safetensors' } },
    2: { class_type: 'EmptyLatentImage', inputs: { width: 64, height: 64, batch_size: 1 } },
    3: { class_type: 'CLIPTextEncode', inputs: { text: 'a', clip: ['1', 1] } },
    4: {
      class_type: 'KSampler',
      inputs: {
        ...{ model: ['1', 0], positive: ['3', 0], negative: ['3', 0], latent_image: ['2', 0] },
        ...{ seed, steps: 4, cfg: 7, sampler_name: 'euler', scheduler: 'normal', denoise: 1 },
      },
    },
    5: { class_type: 'VAEDecode', inputs: { samples: ['4', 0], vae: ['1', 2] } },
    6: { class_type: 'SaveImage', inputs: { images: ['5', 0], filename_prefix: 'sampled' } },
  });
  const [with_, without] = [testIo(), testIo()];
  await Promise.all([
    connector.run(job({ prompt: sampler(1) }), with_),
    connector.run(job({ prompt: invertGraph() }), without),
  ]);
  expect(with_.previews.length).toBeGreaterThan(0);
  expect(with_.previews[0]?.mediaType).toBe('image/jpeg');
  expect(with_.previews[0]?.data.subarray(0, 2)).toEqual(new Uint8Array([0xff, 0xd8]));
  expect(without.previews).toEqual([]);
  expect(with_.reports.some(({ node, steps }) => node === '4' && steps === 4)).toBe(true);
});

test('ready waits for the engine and heeds its signal', async () => {
  await using engine = await startEngine();
  await engine.service.stop();
  await using connector = connect(engine);
  const impatient = AbortSignal.timeout(100);
  await expect(connector.ready(impatient)).rejects.toBe(
    impatient.reason ?? (await new Promise((r) => impatient.addEventListener('abort', () => r(impatient.reason)))),
  );
  const ready = connector.ready(new AbortController().signal);
  await engine.service.start();
  await ready;
});

test('input that is no workflow is refused before the engine hears of it', async () => {
  await using engine = await startEngine();
  await using connector = connect(engine);
  const refuse = (input: unknown, problem: string) =>
    expect(connector.run(job(input), testIo())).rejects.toMatchObject({
      code: 'COMFYUI_INPUT_INVALID',
      message: expect.stringContaining(problem),
      retryable: false,
    });
  await refuse({}, 'prompt');
  await refuse({ prompt: { nodes: [], links: [] } }, 'not in API format');
  await refuse({ prompt: invertGraph(), uploads: [{ name: '../x.png', path: '/x' }] }, 'uploads.0.name');
  await refuse({ prompt: invertGraph(), uploads: [{ name: 'x.png', path: 'x' }] }, 'must be absolute');
  await refuse(
    { prompt: invertGraph(), uploads: [{ name: 'x.png', path: '/x' }] },
    'no input of the workflow is "x.png"',
  );
  await refuse({ prompt: invertGraph(), colour: 1 }, 'colour');
});

test('a client alone tells an engine that is not there', async () => {
  await using engine = await startEngine();
  await engine.service.stop();
  const { url } = engine.service.endpoint;
  await expect(engine.client.queue()).rejects.toMatchObject({
    code: 'COMFYUI_UNREACHABLE',
    retryable: true,
    message: `ComfyUI at ${url.href} cannot be reached: connection refused`,
  });
  await expect(engine.client.events('x')).rejects.toMatchObject({ code: 'COMFYUI_UNREACHABLE' });
});

test('a client’s events end with an error when the engine dies', async () => {
  await using engine = await startEngine();
  const events = await engine.client.events(randomUUID());
  process.kill(engine.service.pid ?? 0, 'SIGKILL');
  const read = async () => {
    for await (const _ of events);
  };
  await expect(read()).rejects.toMatchObject({ code: 'COMFYUI_UNREACHABLE' });
});
