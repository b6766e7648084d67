import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from '@mgpu/core/testing';
import { expect, onTestFinished, test } from 'vitest';
import { readPackRequirements } from './pack-requirements.ts';

function pack(files: Readonly<Record<string, string>>): string {
  const folder = temporaryFolder('pack-');
  onTestFinished(() => folder[Symbol.dispose]());
  const dir = join(folder.path, 'pack');
  mkdirSync(join(dir, 'deep'), { recursive: true });
  for (const [path, text] of Object.entries(files)) writeFileSync(join(dir, path), text);
  return dir;
}

test('included files are read where they lie, once, and only inside of the pack', async () => {
  const dir = pack({
    'requirements.txt': 'numpy\n-r deep/more.txt\n-r ../outside.txt\n-r /etc/hostname\n',
    'deep/more.txt': 'scipy\n-r ../requirements.txt\n-r last.txt\n',
    'deep/last.txt': 'tqdm\n',
  });
  const read = await readPackRequirements('pack', dir);
  expect(read?.text).toBe('numpy\nscipy\ntqdm\n');
  expect(read?.warnings).toEqual([expect.stringContaining('../outside.txt'), expect.stringContaining('/etc/hostname')]);
});

test('a link that leads out, a folder, a huge file and a missing one are refused', async () => {
  const invalid = (problem: string) => ({
    code: 'NODES_REQUIREMENTS_INVALID',
    message: expect.stringContaining(problem),
  });
  const linked = pack({});
  writeFileSync(join(linked, '..', 'secret'), 'numpy');
  symlinkSync('../secret', join(linked, 'requirements.txt'));
  await expect(readPackRequirements('pack', linked)).rejects.toMatchObject(invalid('lies outside of the pack'));
  const folder = pack({});
  mkdirSync(join(folder, 'requirements.txt'));
  await expect(readPackRequirements('pack', folder)).rejects.toMatchObject(invalid('is no file'));
  const huge = pack({ 'requirements.txt': '#'.repeat(300_000) });
  await expect(readPackRequirements('pack', huge)).rejects.toMatchObject(invalid('300000 bytes'));
  await expect(readPackRequirements('pack', pack({ 'requirements.txt': '-r none.txt' }))).rejects.toMatchObject(
    invalid('not there'),
  );
  await expect(readPackRequirements('pack', pack({ 'requirements.txt': 'numpy=>2' }))).rejects.toMatchObject(
    invalid('line 1'),
  );
  expect(await readPackRequirements('pack', pack({}))).toBeUndefined();
});
