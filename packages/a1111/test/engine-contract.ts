import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MgpuError } from '@mgpu/core';
import { testIo } from '@mgpu/core/testing';
import { decode, encode } from 'fast-png';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { connect, job, quick, slow, type TestEngine } from './support.ts';

const cancelled = () => new MgpuError('cancelled by the test', { code: 'TEST_CANCELLED', retryable: true });

/** What client and connector promise, on whichever engine is given: the simulated, or a real one. */
export function engineContract(start: () => Promise<TestEngine>): void {
  let engine: TestEngine;
  beforeAll(async () => {
    engine = await start();
  }, 300_000);
  afterAll(() => engine?.[Symbol.asyncDispose]());

  test('txt2img gives a picture of the wanted size that carries its parameters', async () => {
    await using connector = connect(engine.url);
    const io = testIo();
    const { output } = await connector.run(job({ txt2img: quick({ seed: 42, width: 128 }) }), io);
    expect(io.fromDisk).toEqual(io.stored.map(() => false)); // it answers with pictures, not with files
    expect(io.stored.map(({ name }) => name)).toEqual(['txt2img/000-42.png']);
    const [picture] = io.stored;
    expect(picture).toMatchObject({ mediaType: 'image/png', origin: { role: 'sample', seed: '42' } });
    expect(picture?.sha256).toMatch(/^[0-9a-f]{64}$/);
    const { width, height, text } = decode(picture?.content ?? Buffer.alloc(0));
    expect([width, height]).toEqual([128, 64]);
    expect(text?.parameters).toMatch(/^a cat\n.*Steps: 2, .*Seed: 42, Size: 128x64/);
    expect(output).toMatchObject({ seeds: [42], info: { prompt: 'a cat', width: 128 } });
    expect(io.reports.at(-1)).toEqual({ percent: 100 });
  });

  test('the same seed gives the same picture, another one another', async () => {
    await using connector = connect(engine.url);
    const pixelsOf = async (seed: number) => {
      const io = testIo();
      await connector.run(job({ txt2img: quick({ seed }) }), io);
      return Buffer.from(decode(io.stored[0]?.content ?? Buffer.alloc(0)).data.buffer).toString('base64');
    };
    const [one, same, other] = [await pixelsOf(7), await pixelsOf(7), await pixelsOf(8)];
    expect(one).toBe(same);
    expect(one).not.toBe(other);
  });

  test('of several pictures each has its seed; a grid is told from them', async () => {
    await using connector = connect(engine.url);
    const [plain, saved] = [testIo(), testIo()];
    await connector.run(job({ txt2img: quick({ seed: 5, n_iter: 2, batch_size: 2 }) }), plain);
    expect(plain.stored.map(({ origin }) => origin?.seed)).toEqual(['5', '6', '7', '8']);
    await connector.run(job({ txt2img: quick({ seed: 5, n_iter: 2, save_images: true }) }), saved);
    expect(saved.stored.map(({ origin }) => origin)).toEqual([
      { role: 'grid' },
      { role: 'sample', seed: '5' },
      { role: 'sample', seed: '6' },
    ]);
  });

  test('img2img begins with a picture of this machine', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'mgpu-a1111-'));
    try {
      const path = join(dir, 'red.png');
      const data = new Uint8Array(64 * 64 * 3).map((_, at) => (at % 3 === 0 ? 255 : 0));
      await writeFile(path, encode({ width: 64, height: 64, data, channels: 3 }));
      await using connector = connect(engine.url);
      const io = testIo();
      const img2img = quick({ seed: 1, denoising_strength: 0.5 });
      await connector.run(job({ img2img, images: [path] }), io);
      expect(io.stored).toMatchObject([{ name: 'img2img/000-1.png', origin: { seed: '1' } }]);
      expect(decode(io.stored[0]?.content ?? Buffer.alloc(0))).toMatchObject({ width: 64, height: 64 });
      const lost = connector.run(job({ img2img, images: [join(dir, 'no.png')] }), testIo());
      await expect(lost).rejects.toMatchObject({ code: 'A1111_IMAGE_MISSING', retryable: false });
    } finally {
      await rm(dir, { recursive: true });
    }
  });

  test('progress and previews come while it works, and never go back', async () => {
    await using connector = connect(engine.url);
    const io = testIo();
    await connector.run(job({ txt2img: quick({ steps: 80, n_iter: 2 }) }), io);
    const percents = io.reports.map(({ percent }) => percent);
    expect(percents.length).toBeGreaterThan(3);
    expect(percents).toEqual(percents.toSorted((a, b) => a - b));
    expect(percents.at(-1)).toBe(100);
    expect(io.reports).toContainEqual(expect.objectContaining({ steps: 80, node: expect.stringContaining('atch') }));
    expect(io.previews[0]?.mediaType).toMatch(/^image\//);
  });

  test('what the engine does not accept is told with the field', async () => {
    await using connector = connect(engine.url);
    const bad = connector.run(job({ txt2img: quick({ eta: 'much' }) }), testIo());
    await expect(bad).rejects.toMatchObject({
      code: 'A1111_REQUEST_INVALID',
      message: expect.stringContaining('eta: '),
      retryable: false,
    });
    const strange = connector.run(job({ txt2img: quick({ script_name: 'no such script' }) }), testIo());
    await expect(strange).rejects.toMatchObject({
      code: 'A1111_REFUSED',
      details: { status: 422, answer: expect.stringMatching(/Script 'no such script' not found/i) },
    });
  });

  test('cancel ends the job that runs, and the next one is done', async () => {
    await using connector = connect(engine.url);
    const [mine, other] = [testIo(), testIo()];
    const running = connector.run(job({ txt2img: slow() }), mine);
    await mine.until(() => true);
    const next = connector.run(job({ txt2img: quick({ seed: 3 }) }), other);
    mine.abort(cancelled());
    await expect(running).rejects.toMatchObject({ code: 'TEST_CANCELLED' });
    await next;
    expect(mine.stored).toEqual([]);
    expect(other.stored.map(({ origin }) => origin?.seed)).toEqual(['3']);
  });

  test('a job that waits for its turn is cancelled without a word to the engine', async () => {
    await using connector = connect(engine.url);
    const [first, second] = [testIo(), testIo()];
    const running = connector.run(job({ txt2img: quick({ steps: 100 }) }), first);
    await first.until(() => true);
    const waiting = connector.run(job({ txt2img: quick() }), second);
    second.abort(cancelled());
    await expect(waiting).rejects.toMatchObject({ code: 'TEST_CANCELLED' });
    await running;
    expect(first.stored).toHaveLength(1);
    expect(second.checkpoints).toEqual([]);
  });

  test('what others do to a job in the engine is told, though the engine calls it a success', async () => {
    await using connector = connect(engine.url);
    const io = testIo();
    const running = connector.run(job({ txt2img: slow() }), io);
    const told = expect(running).rejects.toMatchObject({ code: 'A1111_INTERRUPTED', retryable: false });
    await io.until(() => true);
    await engine.client.interrupt();
    await told;
    expect(io.stored).toEqual([]);
  });

  test('a picture is enlarged without a checkpoint', async () => {
    const data = new Uint8Array(32 * 24 * 3).fill(200);
    const picture = encode({ width: 32, height: 24, channels: 3, data });
    const { client } = engine;
    const larger = decode(Buffer.from(await client.upscale(picture, { upscaler: 'Nearest', factor: 3 })));
    expect([larger.width, larger.height, ...larger.data.slice(0, 3)]).toEqual([96, 72, 200, 200, 200]);
    await expect(client.upscale(picture, { upscaler: 'No such' })).rejects.toThrow('could not find upscaler');
  });

  test('the client shows, changes and loads', async () => {
    const { client } = engine;
    const { CLIP_stop_at_last_layers: before } = await client.options();
    await client.setOptions({ CLIP_stop_at_last_layers: 2 });
    expect(await client.options()).toMatchObject({ CLIP_stop_at_last_layers: 2 });
    await client.setOptions({ CLIP_stop_at_last_layers: before });
    expect(await client.samplers()).toContain('Euler');
    expect(await client.schedulers()).toContain('karras');
    expect(await client.flags()).toMatchObject({ api: expect.any(Boolean), port: expect.anything() });
    expect(await client.memory()).toMatchObject({ ram: { used: expect.any(Number) } });
    await client.refreshModels();
    await expect(client.loadModel('no such model')).rejects.toMatchObject({
      code: 'A1111_CHECKPOINT_UNKNOWN',
      message: expect.stringContaining('no such model'),
    });
    const [model] = await client.models();
    const { title, name, sha256 } = model ?? {};
    for (const known of [title, name, sha256, sha256?.slice(0, 10)])
      if (known) expect(await client.loadModel(known)).toMatchObject({ name });
    expect(await client.progress()).toMatchObject({ isBusy: false, fraction: 0 });
    await client.skip();
    await expect(client.options({ signal: AbortSignal.abort(cancelled()) })).rejects.toMatchObject({
      code: 'TEST_CANCELLED',
    });
  });
}
