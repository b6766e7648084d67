import { decode } from 'fast-png';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { emptyImage, sampled, single } from './prompts.ts';
import { Comfy, type Json } from './support.ts';

const fast = { stepMs: 1 };
const pictureOf = async (comfy: Comfy, entry: Json) => decode(await comfy.image(entry.outputs['7'].images[0]));

describe('simulated sampling', () => {
  it('paints the same picture for the same seed, in every process, and another one for another seed', async () => {
    await using one = await Comfy.start({ sim: fast });
    await using two = await Comfy.start({ sim: fast });
    const paint = async (comfy: Comfy, seed: number) => pictureOf(comfy, (await comfy.run(sampled({ seed }))).entry);
    const first = await paint(one, 7);
    expect([first.width, first.height, first.channels]).toEqual([64, 64, 3]);
    expect(new Set(first.data).size).toBeGreaterThan(50);
    expect((await paint(two, 7)).data).toEqual(first.data);
    expect((await paint(one, 8)).data).not.toEqual(first.data);
  });

  it('paints another picture for another seed of the simulation', async () => {
    const paint = async (seed: number) => {
      await using comfy = await Comfy.start({ sim: { ...fast, seed } });
      return (await pictureOf(comfy, (await comfy.run(sampled({ seed: 1 }))).entry)).data;
    };
    expect(await paint(1)).not.toEqual(await paint(2));
  });

  it('takes its time for every step and reports each', async () => {
    await using comfy = await Comfy.start({ sim: { stepMs: 110 } });
    const started = performance.now();
    const { events } = await comfy.run(sampled({ steps: 4 }));
    expect(performance.now() - started).toBeGreaterThan(430);
    expect(events.data('progress').map(({ value, max, node }) => [value, max, node])).toEqual(
      [1, 2, 3, 4].map((step) => [step, 4, '5']),
    );
    expect(events.binaries()).toEqual([]);
  });

  it.each([
    ['asked for on the command line', { sim: fast, args: ['--preview-method', 'auto'] }, {}],
    ['asked for by the simulation', { sim: { ...fast, previews: true } }, {}],
    ['asked for by the prompt', { sim: fast }, { extra_data: { preview_method: 'latent2rgb' } }],
  ])('sends a JPEG preview for each step when %s', async (_how, options, extra) => {
    await using comfy = await Comfy.start(options);
    const { events } = await comfy.run(sampled({ steps: 3 }, 128), extra);
    const frames = events.binaries();
    expect(frames.map((frame) => [frame.readUInt32BE(0), frame.readUInt32BE(4)])).toEqual([1, 2, 3].map(() => [1, 1]));
    expect(await sharp(frames[0]?.subarray(8)).metadata()).toMatchObject({ format: 'jpeg', width: 16, height: 16 });
  });

  it('makes previews no larger than asked', async () => {
    await using comfy = await Comfy.start({ sim: { ...fast, previews: true }, args: ['--preview-size', '8'] });
    const { events } = await comfy.run(sampled({ steps: 1 }, 128));
    expect(await sharp(events.binaries()[0]?.subarray(8)).metadata()).toMatchObject({ width: 8, height: 8 });
  });

  it('encodes a picture to a latent that decides what comes out', async () => {
    await using comfy = await Comfy.start({ sim: fast });
    const redrawn = async (color: number) => {
      const encode = { class_type: 'VAEEncode', inputs: { pixels: ['8', 0], vae: ['1', 2] } };
      const graph = { ...sampled({ seed: 1, latent_image: ['9', 0] }), 8: emptyImage({ color }), 9: encode };
      return pictureOf(comfy, (await comfy.run(graph)).entry);
    };
    const [red, again, blue] = [await redrawn(0xff0000), await redrawn(0xff0000), await redrawn(0x0000ff)];
    expect([red.width, red.height]).toEqual([64, 48]);
    expect(red.data).toEqual(again.data);
    expect(red.data).not.toEqual(blue.data);
  });

  it('interrupts at the next step', async () => {
    await using comfy = await Comfy.start({ sim: { stepMs: 20 } });
    await using events = await comfy.events();
    const { body } = await comfy.submit({ prompt: sampled({ steps: 1000 }), client_id: events.clientId });
    await events.named('progress');
    await comfy.post('/interrupt', { prompt_id: body.prompt_id });
    expect(await events.named('execution_interrupted')).toMatchObject({ node_id: '5', node_type: 'KSampler' });
  });

  it('adds its fixed cost to every prompt', async () => {
    await using comfy = await Comfy.start({ sim: { promptMs: 200 } });
    const { entry } = await comfy.run(single());
    const [start, end] = [entry.status.messages[0][1].timestamp, entry.status.messages.at(-1)[1].timestamp];
    expect(end - start).toBeGreaterThanOrEqual(199);
  });
});

describe('imitated versions', () => {
  const answers = async (version: string, look: (comfy: Comfy) => Promise<unknown>) => {
    await using comfy = await Comfy.start({ sim: { version } });
    return await look(comfy);
  };
  const unknownClass = async (comfy: Comfy) =>
    (await comfy.submit({ prompt: { 1: { class_type: 'Nope', inputs: {} } } })).body.error.type;
  const anyId = async (comfy: Comfy) => (await comfy.submit({ prompt: single(), prompt_id: 'mine' })).status;
  const jobs = async (comfy: Comfy) => (await comfy.fetch('/api/jobs')).status;
  const cancel = async (comfy: Comfy) => (await comfy.post('/api/jobs/x/cancel')).status;
  const coloured = async (comfy: Comfy) => comfy.program.stderr.includes('\u001b[32m');
  const system = async (comfy: Comfy) => (await comfy.get('/system_stats')).system.os;
  const cycle = async (comfy: Comfy) =>
    (
      await comfy.submit({
        prompt: {
          1: { class_type: 'ImageInvert', inputs: { image: ['1', 0] } },
          2: { class_type: 'PreviewImage', inputs: { images: ['1', 0] } },
        },
      })
    ).body.node_errors;

  it.each([
    ['unknown class', unknownClass, '0.11.0', 'invalid_prompt', '0.12.0', 'missing_node_type'],
    ['free prompt ids', anyId, '0.24.0', 200, '0.25.0', 400],
    ['jobs', jobs, '0.5.0', 404, '0.6.0', 200],
    ['cancelling jobs', cancel, '0.25.0', 405, '0.26.0', 200],
    ['coloured log', coloured, '0.22.0', false, '0.23.0', true],
    ['name of the system', system, '0.3.64', 'posix', '0.4.0', 'linux'],
    ['cycles', cycle, '0.19.0', {}, '0.20.0', { 1: expect.any(Object) }],
  ])('differ in: %s', async (_what, look, before, old, since, now) => {
    expect(await answers(before, look)).toEqual(old);
    expect(await answers(since, look)).toEqual(now);
  });
});
