import { randomUUID } from 'node:crypto';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { JobHandoverError, MgpuError } from '@mgpu/core';
import { testIo } from '@mgpu/core/testing';
import { decode, encode } from 'fast-png';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { EngineEvent } from '../src/client/types.ts';
import {
  connect,
  inFolder,
  inverted,
  invertGraph,
  isPlain,
  job,
  nextColour,
  slowGraph,
  type TestEngine,
} from './support.ts';

// Retryable like the loss of a job: that says nothing about whether it goes on in the engine.
const cancelled = () => new MgpuError('cancelled by the test', { code: 'TEST_CANCELLED', retryable: true });

/** What client and connector promise, on whichever ComfyUI is started: the simulated and the real one. */
export function engineContract(start: () => Promise<TestEngine>): void {
  let engine: TestEngine;
  beforeAll(async () => {
    engine = await start();
  }, 300_000);
  afterAll(() => engine?.[Symbol.asyncDispose]());

  test('a picture has the right pixels, its folder in its name, and knows where it came from', async () => {
    await using connector = connect(engine);
    const io = testIo();
    await connector.run(job({ prompt: invertGraph({ color: 0xff_00_00, prefix: 'deep/er/one' }) }), io);
    const [picture] = io.stored;
    expect(io.stored).toHaveLength(1);
    expect(picture?.name).toMatch(/^deep\/er\/one_\d{5}_\.png$/);
    expect(picture).toMatchObject({ origin: { node: '3', key: 'images' } });
    const { width, height, data, channels } = decode(picture?.content ?? Buffer.alloc(0));
    expect([width, height]).toEqual([64, 48]);
    const pixels = new Set(
      Array.from({ length: 64 * 48 }, (_, at) => data.subarray(at * channels, at * channels + 3).join()),
    );
    expect([...pixels]).toEqual(['0,255,255']);
    expect(io.fromDisk).toEqual([true]);
    expect(io.reports.at(-1)).toEqual({ percent: 100 });
  });

  test('the same picture is the same when it has to come over the network', async () => {
    await using near = connect(engine);
    await using far = connect(engine, {}, { far: true });
    const input = { prompt: invertGraph() };
    const [here, there] = [testIo(), testIo()];
    await near.run(job(input), here);
    await far.run(job(input), there);
    expect(there.fromDisk).toEqual([false]);
    expect(there.stored[0]?.sha256).toBe(here.stored[0]?.sha256);
  });

  test('a repeat that comes out of the cache has the same artifacts again', async () => {
    await using connector = connect(engine);
    const input = { prompt: invertGraph() };
    const [first, second] = [testIo(), testIo()];
    await connector.run(job(input), first);
    await connector.run(job(input), second);
    expect(second.stored.map(({ name, sha256 }) => [name, sha256])).toEqual(
      first.stored.map(({ name, sha256 }) => [name, sha256]),
    );
  });

  test('pictures that were only shown are artifacts as well', async () => {
    await using connector = connect(engine);
    const io = testIo();
    const prompt = { ...invertGraph(), 4: { class_type: 'PreviewImage', inputs: { images: ['1', 0] } } };
    await connector.run(job({ prompt }), io);
    expect(io.stored.map(({ origin }) => origin?.node).toSorted()).toEqual(['3', '4']);
    expect(io.fromDisk).toEqual([true, true]);
  });

  test('jobs that bring files of the same name each load their own', () =>
    inFolder(async (dir) => {
      await using connector = connect(engine);
      const load = async (value: number, subfolder: string | undefined) => {
        const path = join(dir, `${value}.png`);
        const data = new Uint8Array(8 * 8 * 3).fill(value);
        await writeFile(path, encode({ width: 8, height: 8, data, channels: 3 }));
        const image = subfolder === undefined ? 'source.png' : `${subfolder}/source.png`;
        const prompt = {
          1: { class_type: 'LoadImage', inputs: { image } },
          2: { class_type: 'ImageInvert', inputs: { image: ['1', 0] } },
          3: { class_type: 'SaveImage', inputs: { images: ['2', 0], filename_prefix: 'loaded' } },
        };
        const upload = { name: 'source.png', path, ...(subfolder === undefined ? {} : { subfolder }) };
        const io = testIo();
        await connector.run(job({ prompt, uploads: [upload] }), io);
        return isPlain(io.stored[0]?.content, [255 - value, 255 - value, 255 - value]);
      };
      const loads = [10, 40, 80, 120].flatMap((value) => [load(value, undefined), load(value, 'jobs')]);
      expect(await Promise.all(loads)).toEqual(loads.map(() => true));
      const prompt = { 1: { class_type: 'LoadImage', inputs: { image: 'x.png' } } };
      const missing = connector.run(
        job({ prompt, uploads: [{ name: 'x.png', path: join(dir, 'missing.png') }] }),
        testIo(),
      );
      await expect(missing).rejects.toMatchObject({ code: 'COMFYUI_UPLOAD_MISSING', details: { problem: 'ENOENT' } });
    }));

  test('a repeat is done again when somebody has removed what the cache says is there', async () => {
    await using connector = connect(engine);
    const prompt = { ...invertGraph(), 4: { class_type: 'PreviewImage', inputs: { images: ['1', 0] } } };
    const [first, second] = [testIo(), testIo()];
    await connector.run(job({ prompt }), first);
    const [saved] = first.stored.filter(({ origin }) => origin?.node === '3');
    await rm(join(engine.service.endpoint.local?.outputDir ?? '', saved?.name ?? ''));
    await connector.run(job({ prompt }), second);
    expect(second.stored.map(({ origin }) => origin?.node).toSorted()).toEqual(['3', '4']);
    expect(second.stored.find(({ origin }) => origin?.node === '3')?.sha256).toBe(saved?.sha256);
    expect(new Set([first, second].map(({ checkpoints }) => checkpoints[0]?.promptId)).size).toBe(2);
  });

  test('progress counts nodes and steps and never goes back', async () => {
    await using connector = connect(engine);
    const io = testIo();
    await connector.run(job({ prompt: slowGraph({ seconds: 1, steps: 5 }) }), io);
    const percents = io.reports.map(({ percent }) => percent);
    expect(percents).toEqual(percents.toSorted((a, b) => a - b));
    expect(io.reports.some(({ node, step, steps }) => node === '2' && step === 3 && steps === 5)).toBe(true);
  });

  test('a workflow with a mistake fails for good, with the engine’s own words', async () => {
    await using connector = connect(engine);
    const prompt = { ...invertGraph(), 3: { class_type: 'SaveImage', inputs: { filename_prefix: 'x' } } };
    await expect(connector.run(job({ prompt }), testIo())).rejects.toMatchObject({
      code: 'COMFYUI_PROMPT_INVALID',
      message: 'ComfyUI refused the workflow: node 3 (SaveImage), input "images": Required input is missing',
      retryable: false,
      details: {
        error: { type: 'prompt_outputs_failed_validation' },
        nodeErrors: { 3: { class_type: 'SaveImage', errors: [{ type: 'required_input_missing' }] } },
      },
    });
    const unknown = { ...invertGraph(), 2: { class_type: 'NoSuchNode', inputs: {} } };
    await expect(engine.client.submit(unknown)).rejects.toMatchObject({
      code: 'COMFYUI_PROMPT_INVALID',
      message: expect.stringContaining('node 2 (NoSuchNode)'),
    });
    await expect(engine.client.submit({})).rejects.toMatchObject({ code: 'COMFYUI_PROMPT_INVALID' });
  });

  test('outputs that are not valid are told, the others are made', async () => {
    await using connector = connect(engine);
    const io = testIo();
    const prompt = { ...invertGraph(), 4: { class_type: 'SaveImage', inputs: { filename_prefix: 'x' } } };
    const { output } = await connector.run(job({ prompt }), io);
    expect(io.stored).toHaveLength(1);
    expect(output).toMatchObject({ ignored: ['node 4 (SaveImage), input "images": Required input is missing'] });
  });

  test('a node that fails is named, and whether to try again is known', async () => {
    await using connector = connect(engine);
    const broken = connector.run(job({ prompt: slowGraph({ seconds: 0.1, steps: 2, failAtStep: 1 }) }), testIo());
    await expect(broken).rejects.toMatchObject({
      code: 'COMFYUI_EXECUTION_FAILED',
      message: expect.stringMatching(/^comfyui_gpu0: node 2 \(SlowNode\) failed with RuntimeError: .*step 1/),
      retryable: false,
      details: { node: '2', nodeType: 'SlowNode', exceptionType: 'RuntimeError' },
    });
    const full = connector.run(
      job({ prompt: slowGraph({ seconds: 0.1, steps: 2, failAtStep: 1, failKind: 'oom' }) }),
      testIo(),
    );
    await expect(full).rejects.toMatchObject({ code: 'COMFYUI_OUT_OF_MEMORY', retryable: true });
    await connector.run(job({ prompt: invertGraph() }), testIo());
  });

  test('cancel ends the job that runs and no other', async () => {
    await using connector = connect(engine);
    const [mine, other] = [testIo(), testIo()];
    const running = connector.run(job({ prompt: slowGraph({ seconds: 60, steps: 1_000 }) }), mine);
    await mine.until(({ node }) => node === '2');
    const next = connector.run(job({ prompt: slowGraph({ seconds: 0.2 }) }), other);
    mine.abort(cancelled());
    await expect(running).rejects.toMatchObject({ code: 'TEST_CANCELLED' });
    await next;
    expect(other.stored).toHaveLength(1);
    const { promptId } = mine.checkpoints[0] as { promptId: string };
    expect(await engine.client.history(promptId)).toMatchObject({ status: { status_str: 'error', completed: false } });
  });

  test('cancel takes a job that waits out of the queue', async () => {
    await using connector = connect(engine);
    const [first, second] = [testIo(), testIo()];
    const running = connector.run(job({ prompt: slowGraph({ seconds: 60, steps: 1_000 }) }), first);
    const interrupted = expect(running).rejects.toMatchObject({ code: 'COMFYUI_INTERRUPTED' });
    await first.until(({ node }) => node === '2');
    const waiting = connector.run(job({ prompt: invertGraph() }), second);
    await expect.poll(async () => (await engine.client.queue()).pending.length).toBe(1);
    second.abort(cancelled());
    await expect(waiting).rejects.toMatchObject({ code: 'TEST_CANCELLED' });
    expect((await engine.client.queue()).pending).toEqual([]);
    await engine.client.interrupt((first.checkpoints[0] as { promptId: string }).promptId);
    await interrupted;
    expect(await engine.client.history((second.checkpoints[0] as { promptId: string }).promptId)).toBeUndefined();
  });

  test('what others do to a job in the engine is told', async () => {
    await using connector = connect(engine);
    const io = testIo();
    const running = connector.run(job({ prompt: slowGraph({ seconds: 60, steps: 1_000 }) }), io);
    await io.until(({ node }) => node === '2');
    const told = expect(running).rejects.toMatchObject({
      code: 'COMFYUI_INTERRUPTED',
      retryable: false,
      details: { node: '2' },
    });
    await engine.client.interrupt();
    await told;
  });

  test('a worker that stops leaves its job, and the next one finds it running, ended or forgotten', async () => {
    const io = testIo();
    const noSource = { class_type: 'SaveImage', inputs: { filename_prefix: 'x' } };
    const input = { prompt: { ...slowGraph({ seconds: 1 }), 4: noSource } };
    const stopping = new JobHandoverError({ job: 'a', worker: 'worker_gpu0' });
    {
      await using connector = connect(engine);
      const left = connector.run(job(input), io);
      await io.until(({ node }) => node === '2');
      await expect.poll(() => io.checkpoints.length).toBe(2);
      io.abort(stopping);
      await expect(left).rejects.toBe(stopping);
    }
    const resumed = io.checkpoints.at(-1);
    await using connector = connect(engine);
    const [running, ended, forgotten] = [testIo(), testIo(), testIo()];
    const { output } = await connector.run(job(input, { resumed }), running);
    expect(output).toMatchObject({ ignored: ['node 4 (SaveImage), input "images": Required input is missing'] });
    await connector.run(job(input, { resumed }), ended);
    expect(ended.stored[0]?.sha256).toBe(running.stored[0]?.sha256);
    expect([running.checkpoints, ended.checkpoints]).toEqual([[], []]);
    await connector.run(job({ prompt: invertGraph() }, { resumed: { ...resumed, promptId: randomUUID() } }), forgotten);
    expect(forgotten.checkpoints).toHaveLength(1);
    expect(forgotten.stored).toHaveLength(1);
  });

  test('several jobs at once keep the engine’s queue filled and get their own pictures', async () => {
    await using connector = connect(engine);
    const colours = Array.from({ length: 12 }, nextColour);
    const ios = colours.map(testIo);
    await Promise.all(
      colours.map((color, at) => connector.run(job({ prompt: invertGraph({ color }) }), ios[at] ?? testIo())),
    );
    expect(colours.map((color, at) => isPlain(ios[at]?.stored[0]?.content, inverted(color)))).toEqual(
      colours.map(() => true),
    );
  });

  test('the client sees the events of its prompt in order, and ends its stream when told', async () => {
    const { client } = engine;
    const clientId = randomUUID();
    const stop = new AbortController();
    const events = await client.events(clientId, { signal: stop.signal });
    const { promptId } = await client.submit(invertGraph(), { clientId });
    const seen: EngineEvent[] = [];
    for await (const event of events) {
      seen.push(event);
      if (event.type === 'executing' && event.data.node === null) stop.abort();
    }
    const own = seen.flatMap((each) => (each.type !== 'status' && each.type !== 'feature_flags' ? [each.type] : []));
    expect(own[0]).toBe('execution_start');
    expect(own.slice(-2)).toEqual(['execution_success', 'executing']);
    expect(own.filter((type) => type === 'executed')).toHaveLength(1);
    expect(await client.history(promptId)).toMatchObject({ outputs: { 3: { images: [{ type: 'output' }] } } });
  });

  test('the client uploads, shows, describes and frees', async () => {
    const { client } = engine;
    const bytes = encode({ width: 2, height: 2, data: new Uint8Array(12).fill(9), channels: 3 });
    const stored = await client.upload(`${randomUUID()}.png`, bytes, { subfolder: 'a b' });
    expect(stored).toMatchObject({ subfolder: 'a b', type: 'input' });
    const { mediaType, body } = await client.view(stored);
    expect(mediaType).toBe('image/png');
    expect(await buffer(body)).toEqual(Buffer.from(bytes));
    await expect(client.view({ ...stored, filename: 'no.png' })).rejects.toMatchObject({
      code: 'COMFYUI_FILE_MISSING',
    });
    await expect(client.view({ ...stored, filename: '../x' })).rejects.toMatchObject({ code: 'COMFYUI_REFUSED' });
    expect(Object.keys(await client.objectInfo('SaveImage'))).toEqual(['SaveImage']);
    expect(Object.keys(await client.objectInfo()).length).toBeGreaterThan(10);
    expect((await client.systemStats()).system.comfyui_version).toMatch(/^\d+\.\d+\.\d+$/);
    expect(await client.features()).toMatchObject({ supports_preview_metadata: true });
    await client.free();
    expect(await client.queueLength()).toBe(0);
    expect(await client.history(randomUUID())).toBeUndefined();
    await expect(client.systemStats({ signal: AbortSignal.abort(cancelled()) })).rejects.toMatchObject({
      code: 'TEST_CANCELLED',
    });
  });
}
