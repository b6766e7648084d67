import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { decode, encode } from 'fast-png';
import sharp from 'sharp';
import { expect, it } from 'vitest';
import { emptyImage, invert, type Link, minimal, preview, save, single } from './prompts.ts';
import { type Comfy, describeProtocol, type Json } from './support.ts';

/** A small picture with a different colour at each place. */
function picture(width: number, height: number, channels: 3 | 4, seed = 0): Uint8Array {
  const data = Uint8Array.from(
    { length: width * height * channels },
    (_, i) => (i * 37 + seed * 101 + (i % channels) * 59) % 256,
  );
  return encode({ width, height, channels, data });
}

async function upload(
  comfy: Comfy,
  bytes: Uint8Array,
  name: string,
  fields: Record<string, string> = {},
  route = '/upload/image',
): Promise<Response> {
  const form = new FormData();
  form.set('image', new File([new Uint8Array(bytes)], name));
  for (const [key, value] of Object.entries(fields)) form.set(key, value);
  return comfy.fetch(route, { method: 'POST', body: form });
}

/** The decoded PNG that a graph makes of its node `from`. */
async function pixelsOf(comfy: Comfy, graph: Record<string, unknown>, from: Link): Promise<ReturnType<typeof decode>> {
  const { entry } = await comfy.run({ ...graph, out: save(from, 'test/pixels') });
  return decode(await comfy.image(entry.outputs.out.images[0]));
}

/** Two batches of plain pictures, multiplied. */
const blended = (first: number, second: number) => ({
  1: emptyImage({ color: 0x64323c, width: 2, height: 2, batch_size: first }),
  2: emptyImage({ color: 0xffff00, width: 2, height: 2, batch_size: second }),
  3: {
    class_type: 'ImageBlend',
    inputs: { image1: ['1', 0], image2: ['2', 0], blend_factor: 1, blend_mode: 'multiply' },
  },
  4: save(['3', 0], 'test/batch'),
});

const load = (image: string) => ({ class_type: 'LoadImage', inputs: { image } });

describeProtocol('files', (comfy) => {
  it('saves the inverted image with the right size and pixels', async () => {
    const { entry } = await comfy().run(minimal({ color: 0xff0000 }, 'mgpu/minimal'));
    const [image] = entry.outputs['3'].images;
    expect(image).toEqual({
      filename: expect.stringMatching(/^minimal_\d{5}_\.png$/),
      subfolder: 'mgpu',
      type: 'output',
    });
    const png = decode(await comfy().image(image));
    expect([png.width, png.height, png.channels]).toEqual([64, 48, 3]);
    expect(png.data.every((value, i) => value === [0, 255, 255][i % 3])).toBe(true);
  });

  it('cuts off fractions as the real program does', async () => {
    const shades = [0x010203, 0x7f8081, 0x636465, 0xc8c9ca, 0xfdfeff];
    for (const color of shades) {
      const plain = await pixelsOf(comfy(), { 1: emptyImage({ color, width: 1, height: 1 }) }, ['1', 0]);
      expect([...plain.data]).toEqual([color >> 16, (color >> 8) & 255, color & 255]);
    }
  });

  it('writes the prompt and the workflow into the PNG', async () => {
    const prompt = single();
    const { entry } = await comfy().run(prompt, {
      extra_data: { extra_pnginfo: { workflow: { id: 'w', title: 'Ümläut' } } },
    });
    const { text } = decode(await comfy().image(entry.outputs['2'].images[0]));
    expect(JSON.parse(text.prompt ?? '')).toEqual(prompt);
    expect(text.workflow).toBe('{"id": "w", "title": "\\u00dcml\\u00e4ut"}');
  });

  it('numbers files from the highest that is there', async () => {
    const first = await comfy().run(single({ batch_size: 2 }, 'numbers/a'));
    expect(first.entry.outputs['2'].images.map((image: Json) => image.filename)).toEqual([
      'a_00001_.png',
      'a_00002_.png',
    ]);
    writeFileSync(join(comfy().folder, 'output/numbers/a_00041_.png'), '');
    const second = await comfy().run(single({}, 'numbers/a'));
    expect(second.entry.outputs['2'].images[0].filename).toBe('a_00042_.png');
    const other = await comfy().run(single({}, 'numbers/ab'));
    expect(other.entry.outputs['2'].images[0].filename).toBe('ab_00001_.png');
  });

  it('does not save outside its folder', async () => {
    const { events } = await comfy().run(single({}, '../../out'));
    expect(events.data('execution_error')[0].exception_message).toContain(
      'Saving image outside the output folder is not allowed',
    );
  });

  it('fills in the variables of a prefix', async () => {
    const { entry } = await comfy().run(single({ width: 30, height: 20 }, 'v/%width%x%height%'));
    expect(entry.outputs['2'].images[0].filename).toBe('30x20_00001_.png');
  });

  it('saves previews in the temp folder', async () => {
    const { entry } = await comfy().run({ 1: emptyImage(), 2: preview(['1', 0]) });
    const [image] = entry.outputs['2'].images;
    expect(image).toEqual({
      filename: expect.stringMatching(/^ComfyUI_temp_[a-z]{5}_00001_\.png$/),
      subfolder: '',
      type: 'temp',
    });
    expect(readdirSync(join(comfy().folder, 'temp'))).toContain(image.filename);
    expect(decode(await comfy().image(image)).width).toBe(64);
  });

  it('serves a file with its headers, whole or in part', async () => {
    const { entry } = await comfy().run(single());
    const query = new URLSearchParams(entry.outputs['2'].images[0]);
    const response = await comfy().fetch(`/view?${query}`);
    expect(Object.fromEntries(response.headers)).toMatchObject({
      'content-type': 'image/png',
      'content-disposition': `filename="${query.get('filename')}"`,
      etag: expect.any(String),
      'last-modified': expect.any(String),
      'accept-ranges': 'bytes',
    });
    const whole = await response.bytes();
    const part = await comfy().fetch(`/api/view?${query}`, { headers: { range: 'bytes=1-3' } });
    expect([part.status, await part.text()]).toEqual([206, 'PNG']);
    expect(part.headers.get('content-range')).toBe(`bytes 1-3/${whole.length}`);
  });

  it('serves a preview as WebP or JPEG', async () => {
    const { entry } = await comfy().run(single());
    for (const [wanted, format] of [
      ['webp;90', 'webp'],
      ['jpeg;80', 'jpeg'],
      ['other', 'webp'],
    ] as const) {
      const bytes = await comfy().image(entry.outputs['2'].images[0], `&preview=${wanted}`);
      expect(await sharp(bytes).metadata()).toMatchObject({ format, width: 64, height: 48 });
    }
  });

  it('serves the colours or the alpha channel alone', async () => {
    await upload(comfy(), picture(4, 3, 4), 'alpha.png');
    const file = { filename: 'alpha.png', subfolder: '', type: 'input' };
    const original = decode(await comfy().image(file));
    const rgb = decode(await comfy().image(file, '&channel=rgb'));
    expect(rgb.channels).toBe(3);
    expect([...rgb.data]).toEqual([...original.data].filter((_, i) => i % 4 < 3));
    const alpha = decode(await comfy().image(file, '&channel=a'));
    expect([...alpha.data]).toEqual([...original.data].map((value, i) => (i % 4 === 3 ? value : 0)));
  });

  it.each([
    ['', 404],
    ['filename=nope.png', 404],
    ['filename=', 400],
    ['filename=../x.png', 400],
    ['filename=/etc/passwd', 400],
    ['filename=x.png&type=other', 400],
    ['filename=x.png&subfolder=../..', 403],
  ])('answers /view?%s with an empty %i', async (query, status) => {
    const response = await comfy().fetch(`/view?${query}`);
    expect([response.status, await response.text()]).toEqual([status, '']);
  });

  it('stores an upload under its name, and once if it comes twice', async () => {
    const bytes = picture(4, 4, 3, 1);
    for (let i = 0; i < 2; i++) {
      expect(await (await upload(comfy(), bytes, 'up.png')).json()).toMatchObject({
        name: 'up.png',
        subfolder: '',
        type: 'input',
      });
    }
    expect(await (await upload(comfy(), picture(4, 4, 3, 2), 'up.png')).json()).toMatchObject({ name: 'up (1).png' });
    expect(Buffer.compare(readFileSync(join(comfy().folder, 'input/up.png')), bytes)).toBe(0);
    expect(await (await upload(comfy(), picture(4, 4, 3, 3), 'up.png', { overwrite: 'true' })).json()).toMatchObject({
      name: 'up.png',
    });
    expect(Buffer.compare(readFileSync(join(comfy().folder, 'input/up.png')), bytes)).not.toBe(0);
  });

  it('stores an upload in a subfolder of another folder', async () => {
    const response = await upload(comfy(), picture(2, 2, 3), 'deep.png', { type: 'temp', subfolder: 'a/b' });
    expect(await response.json()).toEqual({ name: 'deep.png', subfolder: 'a/b', type: 'temp' });
    expect(readdirSync(join(comfy().folder, 'temp/a/b'))).toEqual(['deep.png']);
  });

  it('refuses uploads without a file or out of its folder with an empty 400', async () => {
    const form = new FormData();
    form.set('type', 'input');
    for (const response of [
      await comfy().fetch('/upload/image', { method: 'POST', body: form }),
      await comfy().fetch('/upload/image', { method: 'POST' }),
      await upload(comfy(), picture(1, 1, 3), 'x.png', { subfolder: '../../..' }),
    ]) {
      expect([response.status, await response.text()]).toEqual([400, '']);
    }
    expect((await upload(comfy(), picture(1, 1, 3), 'x.png', { type: 'other' })).status).toBe(500);
  });

  it('gives an uploaded mask the colours of its original', async () => {
    await upload(comfy(), picture(4, 3, 3), 'original.png');
    const original_ref = JSON.stringify({ filename: 'original.png', subfolder: '', type: 'input' });
    const response = await upload(comfy(), picture(4, 3, 4, 7), 'masked.png', { original_ref }, '/upload/mask');
    expect(await response.json()).toMatchObject({ name: 'masked.png', type: 'input' });
    const [colours, alpha, result] = [
      decode(picture(4, 3, 3)),
      decode(picture(4, 3, 4, 7)),
      decode(readFileSync(join(comfy().folder, 'input/masked.png'))),
    ];
    expect([...result.data].filter((_, i) => i % 4 < 3)).toEqual([...colours.data]);
    expect([...result.data].filter((_, i) => i % 4 === 3)).toEqual([...alpha.data].filter((_, i) => i % 4 === 3));
  });

  it('loads what was uploaded, and notices when the file changes', async () => {
    const name = 'load.png';
    for (const seed of [4, 5]) {
      await upload(comfy(), picture(5, 4, 3, seed), name, { overwrite: '1' });
      const png = await pixelsOf(comfy(), { 1: load(name) }, ['1', 0]);
      expect([...png.data]).toEqual([...decode(picture(5, 4, 3, seed)).data]);
    }
  });

  it('turns the alpha channel into a mask', async () => {
    await upload(comfy(), picture(5, 4, 4), 'mask.png');
    const graph = { 1: load('mask.png'), 2: { class_type: 'MaskToImage', inputs: { mask: ['1', 1] } } };
    const png = await pixelsOf(comfy(), graph, ['2', 0]);
    const alpha = [...decode(picture(5, 4, 4)).data].filter((_, i) => i % 4 === 3);
    // One less where 1 - alpha falls just below a whole number of 255ths.
    for (const [i, value] of alpha.entries())
      expect(Math.abs((png.data[i * 3] as number) - (255 - value))).toBeLessThanOrEqual(1);
    expect([png.width, png.height]).toEqual([5, 4]);
  });

  it('loads other formats than PNG', async () => {
    const jpeg = await sharp({ create: { width: 8, height: 8, channels: 3, background: '#ff0000' } })
      .jpeg()
      .toBuffer();
    await upload(comfy(), jpeg, 'red.jpg');
    const png = await pixelsOf(comfy(), { 1: load('red.jpg') }, ['1', 0]);
    expect(png.data[0]).toBeGreaterThan(250);
    expect(png.data[1]).toBeLessThan(5);
  });

  it('scales without a blur', async () => {
    await upload(comfy(), picture(3, 2, 3), 'scale.png');
    const scale = {
      class_type: 'ImageScale',
      inputs: { image: ['1', 0], upscale_method: 'nearest-exact', width: 6, height: 4, crop: 'disabled' },
    };
    const png = await pixelsOf(comfy(), { 1: load('scale.png'), 2: scale }, ['2', 0]);
    const source = decode(picture(3, 2, 3)).data;
    const at = (x: number, y: number) =>
      [0, 1, 2].map((c) => source[(Math.floor(y / 2) * 3 + Math.floor(x / 2)) * 3 + c]);
    const expected = Array.from({ length: 24 }, (_, i) => at(i % 6, Math.floor(i / 6))).flat();
    expect([...png.data]).toEqual(expected);
  });

  it('scales to one free side, and crops to the centre', async () => {
    const scale = (inputs: object) => ({
      class_type: 'ImageScale',
      inputs: { image: ['1', 0], upscale_method: 'bilinear', width: 0, height: 0, crop: 'disabled', ...inputs },
    });
    const shape = async (inputs: object) => {
      const graph = { 1: emptyImage({ width: 40, height: 30 }), 2: scale(inputs) };
      const { width, height } = await pixelsOf(comfy(), graph, ['2', 0]);
      return [width, height];
    };
    expect(await shape({ width: 20 })).toEqual([20, 15]);
    expect(await shape({ height: 10 })).toEqual([13, 10]);
    expect(await shape({})).toEqual([40, 30]);
    await upload(comfy(), picture(6, 2, 3), 'wide.png');
    const square = await pixelsOf(comfy(), { 1: load('wide.png'), 2: scale({ width: 2, height: 2, crop: 'center' }) }, [
      '2',
      0,
    ]);
    const source = decode(picture(6, 2, 3)).data;
    expect([...square.data]).toEqual([2, 3, 8, 9].flatMap((pixel) => [...source.slice(pixel * 3, pixel * 3 + 3)]));
  });

  // What torch and Pillow make of the picture of 5 by 4 pixels, at 3 by 2.
  const smaller = {
    bilinear: [58, 154, 165, 115, 83, 179, 172, 97, 108, 144, 155, 80, 73, 169, 137, 87, 98, 194],
    bicubic: [53, 165, 174, 111, 79, 175, 186, 106, 98, 154, 146, 66, 77, 173, 141, 78, 87, 199],
    area: [77, 173, 141, 115, 168, 94, 153, 122, 90, 163, 131, 99, 158, 84, 137, 112, 80, 175],
    lanczos: [72, 157, 148, 113, 146, 122, 151, 100, 102, 151, 153, 102, 131, 107, 140, 105, 96, 181],
  };
  it.each(Object.entries(smaller))('makes smaller with the method %s', async (upscale_method, expected) => {
    await upload(comfy(), picture(5, 4, 3), 'methods.png');
    const scale = {
      class_type: 'ImageScale',
      inputs: { image: ['1', 0], upscale_method, width: 3, height: 2, crop: 'disabled' },
    };
    const { data } = await pixelsOf(comfy(), { 1: load('methods.png'), 2: scale }, ['2', 0]);
    expect([...data]).toEqual(expected);
  });

  // At 7 by 4, where the sums of lanczos leave the range of a byte.
  const larger =
    '0 83 206 44 173 99 167 177 66 222 62 158 105 154 43 111 121 47 201 14 137 30 126 249 120 216 142 126 220 109 9 105 201 64 197 86 187 164 90 237 57 180 73 196 16 163 89 66 167 56 189 52 148 244 144 33 127 111 37 133 4 127 223 116 239 52 206 132 142 210 99 148 95 191 31 187 76 86 154 80 209 47 170 255';
  it('makes larger by a factor with the method lanczos', async () => {
    await upload(comfy(), picture(5, 4, 3), 'methods.png');
    const scale = (scale_by: number, upscale_method = 'lanczos') => ({
      class_type: 'ImageScaleBy',
      inputs: { image: ['1', 0], upscale_method, scale_by },
    });
    const double = await pixelsOf(comfy(), { 1: load('methods.png'), 2: scale(2) }, ['2', 0]);
    expect([double.width, double.height]).toEqual([10, 8]);
    const wide = {
      class_type: 'ImageScale',
      inputs: { image: ['1', 0], upscale_method: 'lanczos', width: 7, height: 4, crop: 'disabled' },
    };
    const { data } = await pixelsOf(comfy(), { 1: load('methods.png'), 2: wide }, ['2', 0]);
    expect([...data].join(' ')).toBe(larger);
    const failure = async (method: string) => {
      const { events } = await comfy().run({ 1: load('methods.png'), 2: scale(0.01, method), 3: save(['2', 0]) });
      return events.data('execution_error')[0].exception_message;
    };
    expect([await failure('lanczos'), await failure('bilinear')]).toEqual([
      'height and width must be > 0\n',
      'Input and output sizes should be greater than 0, but got input (H: 4, W: 5) output (H: 0, W: 0)\n',
    ]);
  });

  it('averages with the method area', async () => {
    await upload(
      comfy(),
      encode({
        width: 2,
        height: 2,
        channels: 3,
        data: Uint8Array.from([0, 0, 0, 255, 255, 255, 255, 255, 255, 0, 0, 0]),
      }),
      'checks.png',
    );
    const scale = {
      class_type: 'ImageScale',
      inputs: { image: ['1', 0], upscale_method: 'area', width: 1, height: 1, crop: 'disabled' },
    };
    expect([...(await pixelsOf(comfy(), { 1: load('checks.png'), 2: scale }, ['2', 0])).data]).toEqual([127, 127, 127]);
  });

  it.each([
    ['normal', 0.25, [175, 100, 25]],
    ['multiply', 1, [78, 39, 0]],
    ['screen', 1, [221, 160, 99]],
    ['difference', 1, [100, 0, 0]],
    ['overlay', 1, [188, 78, 0]],
    ['soft_light', 1, [190, 86, 0]],
  ])('blends with the mode %s', async (blend_mode, blend_factor, expected) => {
    const graph = {
      1: emptyImage({ color: 0xc86400, width: 2, height: 2 }),
      2: emptyImage({ color: 0x646464, width: 2, height: 2 }),
      3: { class_type: 'ImageBlend', inputs: { image1: ['1', 0], image2: ['2', 0], blend_factor, blend_mode } },
    };
    const png = await pixelsOf(comfy(), graph, ['3', 0]);
    expect([...png.data.slice(0, 3)]).toEqual(expected);
  });

  it.each([
    [1, 2, 2],
    [2, 1, 2],
    [3, 3, 3],
  ])('blends batches of %i and %i to one of %i', async (first, second, expected) => {
    const { entry } = await comfy().run(blended(first, second));
    expect(entry.outputs['4'].images).toHaveLength(expected);
    const png = decode(await comfy().image(entry.outputs['4'].images.at(-1)));
    expect([...png.data.slice(0, 3)]).toEqual([100, 50, 0]);
  });

  it('does not blend batches of different sizes', async () => {
    const { events } = await comfy().run(blended(2, 3));
    expect(events.data('execution_error')[0]).toMatchObject({
      exception_type: 'RuntimeError',
      exception_message: 'The size of tensor a (2) must match the size of tensor b (3) at non-singleton dimension 0\n',
    });
  });

  it('takes a mask from any channel of a picture', async () => {
    await upload(comfy(), picture(5, 4, 4), 'channels.png');
    const source = decode(picture(5, 4, 4)).data;
    for (const [at, channel] of ['red', 'green', 'blue', 'alpha'].entries()) {
      const graph = {
        1: { class_type: 'LoadImageMask', inputs: { image: 'channels.png', channel } },
        2: { class_type: 'MaskToImage', inputs: { mask: ['1', 0] } },
      };
      const { data } = await pixelsOf(comfy(), graph, ['2', 0]);
      const wanted = [...source].filter((_, i) => i % 4 === at).map((v) => (channel === 'alpha' ? 255 - v : v));
      for (const [i, value] of wanted.entries())
        expect(Math.abs((data[i * 3] as number) - value)).toBeLessThanOrEqual(channel === 'alpha' ? 1 : 0);
    }
  });

  it('saves an animation, and says so beside its files', async () => {
    const inputs = { filename_prefix: 'moving/a', fps: 5, lossless: true, quality: 80, method: 'fastest' };
    const { entry } = await comfy().run({
      1: emptyImage({ batch_size: 2, color: 0x204060 }),
      3: { class_type: 'SaveAnimatedWEBP', inputs: { images: ['1', 0], ...inputs } },
    });
    expect(entry.outputs['3']).toEqual({
      images: [{ filename: 'a_00001_.webp', subfolder: 'moving', type: 'output' }],
      animated: [true],
    });
    const file = await comfy().image(entry.outputs['3'].images[0]);
    expect(await sharp(file).metadata()).toMatchObject({ format: 'webp', width: 64, height: 48 });
  });

  it('shows anything as text, in an output without files', async () => {
    const { entry } = await comfy().run({ 1: { class_type: 'PreviewAny', inputs: { source: 'hello' } } });
    expect(entry.outputs).toEqual({ 1: { text: ['hello'] } });
  });

  it('inverts twice to the same picture', async () => {
    await upload(comfy(), picture(7, 5, 3), 'twice.png');
    const png = await pixelsOf(comfy(), { 1: load('twice.png'), 2: invert(['1', 0]), 3: invert(['2', 0]) }, ['3', 0]);
    const source = decode(picture(7, 5, 3)).data;
    for (const [i, value] of source.entries()) expect(Math.abs((png.data[i] as number) - value)).toBeLessThanOrEqual(1);
  });
});
