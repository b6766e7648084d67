import { expect, test } from 'vitest';
import { sortOutputs } from './produced-files.ts';

test('files are found under any key, once each; the rest is kept', () => {
  const video = { filename: 'a.mp4', subfolder: 'v', type: 'output', format: 'video/h264-mp4', fullpath: '/x/a.mp4' };
  const { files, rest } = sortOutputs({
    1: { images: [{ filename: 'a.png', subfolder: '', type: 'temp' }], animated: [false] },
    2: { gifs: [video], audio: [{ filename: 'a.flac', subfolder: '', type: 'output' }] },
    3: { images: [video], text: ['a cat'] },
    4: {
      result: [{ filename: 'given.png', subfolder: '', type: 'input' }],
      '3d': { filename: 'm.glb', type: 'output' },
    },
  });
  expect(files).toEqual([
    { filename: 'a.png', subfolder: '', type: 'temp', node: '1', key: 'images' },
    { filename: 'a.mp4', subfolder: 'v', type: 'output', node: '2', key: 'gifs' },
    { filename: 'a.flac', subfolder: '', type: 'output', node: '2', key: 'audio' },
    { filename: 'm.glb', subfolder: '', type: 'output', node: '4', key: '3d' },
  ]);
  expect(rest).toEqual({ 1: { animated: [false] }, 3: { text: ['a cat'] } });
});
