import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ComfyUIClient } from '../client/comfyui-client.ts';
import type { EngineFile } from '../client/types.ts';
import { FileReader, sortOutputs } from './produced-files.ts';

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

test('a file is read from the engine’s own folders and from nowhere else', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'mgpu-files-'));
  await using client = new ComfyUIClient('http://127.0.0.1:9');
  try {
    const [outputDir, tempDir, elsewhere] = ['output', 'temp', 'elsewhere'].map((name) => join(dir, name)) as [
      string,
      string,
      string,
    ];
    for (const folder of [join(outputDir, 'deep', 'er'), tempDir, elsewhere]) await mkdir(folder, { recursive: true });
    const files = [join(outputDir, 'a.mp4'), join(outputDir, 'deep', 'er', 'b.flac'), join(tempDir, 'c.png')];
    for (const file of [...files, join(elsewhere, 'secret')]) await writeFile(file, 'x');
    await symlink(elsewhere, join(outputDir, 'out'));
    await symlink(join(elsewhere, 'secret'), join(outputDir, 'secret'));
    const reader = new FileReader(client, { outputDir, tempDir, inputDir: dir });
    const locate = (filename: string, subfolder = '', type: EngineFile['type'] = 'output') =>
      reader.locate({ filename, subfolder, type });
    expect([await locate('a.mp4'), await locate('b.flac', 'deep/er'), await locate('c.png', '', 'temp')]).toEqual(
      files,
    );
    // The engine knows what it may show of these.
    expect(await locate('secret', '../elsewhere')).toBeUndefined();
    expect(await locate('secret', elsewhere)).toBeUndefined();
    expect(await locate('../elsewhere/secret')).toBeUndefined();
    expect(await locate('secret', 'out')).toBeUndefined();
    expect(await locate('secret')).toBeUndefined();
    expect(await locate('deep')).toBeUndefined();
    for (const subfolder of ['', 'gone', 'deep']) {
      await expect(locate('gone.png', subfolder)).rejects.toMatchObject({ code: 'COMFYUI_FILE_MISSING' });
    }
    const far = new FileReader(client, { outputDir: join(dir, 'not', 'here'), tempDir, inputDir: dir });
    expect(await far.locate({ filename: 'a.mp4', subfolder: '', type: 'output' })).toBeUndefined();
  } finally {
    await rm(dir, { recursive: true });
  }
});
