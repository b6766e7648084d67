import { readFileSync, readlinkSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { layoutOf } from '@mgpu/core';
import { expect, test } from 'vitest';
import { makeLinks, readStaticModels, staticModelsPath } from '../src/index.ts';
import { listing, read, temporaryFolder, write } from './support.ts';

function box(content: unknown) {
  const layout = layoutOf(temporaryFolder());
  const at = (path: string) => join(layout.shared, path);
  const file = write(at('static-models.json'), typeof content === 'string' ? content : JSON.stringify(content));
  const apply = async () => {
    const statics = await readStaticModels(staticModelsPath({}, layout), layout);
    if (!statics) throw new Error('there is no file');
    const results = await makeLinks(statics, layout);
    return results.map(({ path, status, error }) => `${path} ${error?.code ?? status}`);
  };
  return { layout, at, file, apply };
}

test('links are made once, never over a real file, and the file stays as it is', async () => {
  const content = {
    symlinks: [
      { source: 'Stable-diffusion/one.safetensors', target: 'checkpoints/one.safetensors', description: 'first' },
      { source: 'Stable-diffusion/two.safetensors', target: 'checkpoints/two.safetensors' },
      { source: 'Stable-diffusion/gone.safetensors', target: 'checkpoints/gone.safetensors' },
      { source: 'Stable-diffusion/moved.safetensors', target: 'checkpoints/moved.safetensors' },
      { source: 'Stable-diffusion/back.safetensors', target: 'checkpoints/back.safetensors' },
    ],
    no_index: [{ path: '/workspace/shared/models/checkpoints/one.safetensors', reason: 'it is a link' }],
  };
  const { at, file, apply, layout } = box(content);
  const text = readFileSync(file, 'utf8');
  for (const name of ['one', 'two', 'moved']) write(at(`sd_models/Stable-diffusion/${name}.safetensors`), name);
  write(at('models/checkpoints/two.safetensors'), 'mine');
  write(at('models/checkpoints/back.safetensors'), 'here');
  symlinkSync('/nowhere', at('models/checkpoints/moved.safetensors'));
  symlinkSync(at('models/checkpoints/back.safetensors'), at('sd_models/Stable-diffusion/back.safetensors'));
  const results = (made: string) => [
    `models/checkpoints/one.safetensors ${made}`,
    'models/checkpoints/two.safetensors MODELS_LINK_TAKEN',
    'models/checkpoints/gone.safetensors MODELS_LINK_SOURCE',
    `models/checkpoints/moved.safetensors ${made}`,
    'models/checkpoints/back.safetensors present',
  ];
  expect(await apply()).toEqual(results('linked'));
  expect(readlinkSync(at('models/checkpoints/one.safetensors'))).toBe(at('sd_models/Stable-diffusion/one.safetensors'));
  expect(String(read(at('models/checkpoints/two.safetensors')))).toBe('mine');
  expect(String(read(at('models/checkpoints/back.safetensors')))).toBe('here');
  const before = listing(layout.root);
  expect(await apply()).toEqual(results('present'));
  expect(listing(layout.root)).toEqual(before);
  expect(readFileSync(file, 'utf8')).toBe(text);
});

test("the second predecessor's form links what its patterns match", async () => {
  const { at, apply } = box({
    model_symlinks: {
      checkpoints: [{ source: 'sd_models/Stable-diffusion', target: 'models/checkpoints', pattern: '*.safetensors' }],
    },
  });
  for (const name of ['a.safetensors', 'b.ckpt']) write(at(`sd_models/Stable-diffusion/${name}`), name);
  expect(await apply()).toEqual(['models/checkpoints/a.safetensors linked']);
});

test.each([
  ['no JSON', '{', 'MODELS_STATIC_INVALID'],
  ['something else', { symlinks: [{ source: 'a' }] }, 'MODELS_STATIC_INVALID'],
  ['a way out', { symlinks: [{ source: '../../etc/passwd', target: 'checkpoints/x.pt' }] }, 'MODELS_PATH'],
])('%s is refused', async (_, content, code) => {
  const { apply } = box(content);
  await expect(apply()).rejects.toMatchObject({ code });
});
