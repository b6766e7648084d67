import { expect, test } from 'vitest';
import { readModelList } from './read-list.ts';

const places = async (text: string) =>
  (await readModelList(text)).entries.map(({ path, folder }) => path ?? `${folder}/?`);

test.each([
  ['a file', '{url: "https://x/a.safetensors", path: loras/b.safetensors}', 'models/loras/b.safetensors'],
  ['a folder', '{url: "https://x/a.safetensors?y=1", path: loras/flux}', 'models/loras/flux/a.safetensors'],
  ['a folder and a name', '{url: "https://x/a", path: loras/, name: c.pt}', 'models/loras/c.pt'],
  [
    'a path below shared',
    '{url: "https://x/a.pt", path: sd_models/Stable-diffusion/a.pt}',
    'sd_models/Stable-diffusion/a.pt',
  ],
  ['a bare name', '{url: "https://x/a.pt", path: RealESRGAN.pth}', 'models/upscale_models/RealESRGAN.pth'],
  ['no path', '{url: "https://x/some_vae.safetensors"}', 'models/vae/some_vae.safetensors'],
  ['no name either', '{url: "civitai://12", type: LORA}', 'models/loras/?'],
  [
    "a predecessor's",
    '{name: T5, downloadUrl: "https://x/t5xxl.safetensors", saveTo: models/text_encoders/, isRequired: true}',
    'models/text_encoders/t5xxl.safetensors',
  ],
])('%s gives the place', async (_, entry, place) => {
  expect(await places(`models: [${entry}]`)).toEqual([place]);
});

test('the bare array and JSON are lists, nothing is one, a text is none', async () => {
  expect(await places('[{"url": "https://x/a.pt"}]')).toHaveLength(1);
  expect(await places('')).toEqual([]);
  await expect(readModelList('hello')).rejects.toMatchObject({ code: 'MODELS_LIST_INVALID' });
  await expect(readModelList('{models: 3}')).rejects.toMatchObject({ code: 'MODELS_LIST_INVALID' });
  await expect(readModelList('a: [')).rejects.toMatchObject({ code: 'MODELS_LIST_INVALID' });
});

test('an entry that is wrong fails alone, with where it stands', async () => {
  const { entries, invalid, warnings } = await readModelList(`models:
  - {url: "https://x/a.pt", path: ../../etc/passwd.pt}
  - {url: "https://x/a.pt", path: loras/a.pt, colour: red}
  - {url: "https://x/b.pt", path: loras/a.pt}
  - {url: "https://x/c.pt", sha256: abc}
  - {path: loras/d.pt}
  - {url: "https://x/e.pt", path: loras/.hidden.pt}
  - {downloadUrl: "https://x/f.pt", saveTo: loras/, hash: ABCD, size: "12"}
`);
  expect(entries.map(({ path }) => path)).toEqual(['models/loras/a.pt', 'models/loras/f.pt']);
  expect(entries[1]).toMatchObject({ size: 12 });
  expect(invalid.map(({ error }) => error.code)).toEqual([
    'MODELS_PATH',
    'MODELS_ENTRY_INVALID',
    'MODELS_ENTRY_INVALID',
    'MODELS_ENTRY_INVALID',
    'MODELS_PATH',
  ]);
  expect(warnings).toEqual([expect.stringContaining('models.1.colour'), expect.stringContaining('no SHA-256')]);
});
