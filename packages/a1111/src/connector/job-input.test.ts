import { expect, test } from 'vitest';
import { readJobInput } from './job-input.ts';

test.each([
  ['nothing', {}, 'input: must be { txt2img'],
  ['a prompt of the predecessor', { prompt: 'x' }, 'input: must be { txt2img'],
  ['a size that is none', { txt2img: { width: '512' } }, 'txt2img.width: '],
  ['more steps than anybody needs', { txt2img: { steps: 1e6 } }, 'txt2img.steps: '],
  ['no picture to begin with', { img2img: {} }, 'images: an img2img job needs a picture'],
  ['a picture beside where one is', { img2img: {}, images: ['x.png'] }, 'images.0: must be absolute'],
  ['an address to fetch', { img2img: { init_images: ['http://10.0.0.1/'] } }, 'img2img.init_images.0: must be base64'],
  ['an unknown key', { txt2img: {}, webhook: 1 }, 'input: Unrecognized key'],
])('%s is refused', (_, input, problem) => {
  expect(() => readJobInput(input)).toThrow(problem);
});

test('fields that are not known here are passed on', () => {
  const txt2img = { prompt: 'x', enable_hr: true, alwayson_scripts: { ControlNet: { args: [] } } };
  expect(readJobInput({ txt2img })).toEqual({ txt2img });
});
