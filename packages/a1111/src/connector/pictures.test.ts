import { expect, test } from 'vitest';
import { filesOf } from './pictures.ts';

const jpeg = Buffer.from('\xff\xd8\xff\xe0 and so on', 'latin1');
const webp = Buffer.from('RIFF\x10\0\0\0WEBPVP8 ', 'latin1');

test('grids, samples and what scripts added are told apart, and named by what they are', () => {
  const images = [jpeg, webp, webp, Buffer.from('what is this')];
  const files = filesOf('txt2img', { images, firstImage: 1, seeds: [7, 8], info: {} });
  expect(files.map(({ name, mediaType, origin }) => [name, mediaType, origin])).toEqual([
    ['txt2img/000-grid.jpg', 'image/jpeg', { role: 'grid' }],
    ['txt2img/001-7.webp', 'image/webp', { role: 'sample', seed: '7' }],
    ['txt2img/002-8.webp', 'image/webp', { role: 'sample', seed: '8' }],
    ['txt2img/003-extra.bin', 'application/octet-stream', { role: 'extra' }],
  ]);
});
