import { link, mkdir, mkdtemp, readdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fakeClock, temporaryFolder } from '@mgpu/core/testing';
import { describe, expect, test } from 'vitest';
import { sampleDisk } from '../src/sources/disk.ts';
import { sampleHostMemory } from '../src/sources/host-memory.ts';
import { removeOldFiles } from '../src/sources/old-files.ts';
import { sampleOpenFiles } from '../src/sources/open-files.ts';

const gib = 1024 ** 3;

async function fill(root: string, files: Readonly<Record<string, string>>): Promise<void> {
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(root, name)), { recursive: true });
    await writeFile(join(root, name), text);
  }
}

test('the disk of a folder is told, and one that is not there refused', async () => {
  using folder = temporaryFolder();
  const sample = await sampleDisk(folder.path, fakeClock());
  expect(sample).toMatchObject({ at: 0, path: folder.path });
  expect(sample.totalBytes).toBeGreaterThanOrEqual(sample.availableBytes);
  await expect(sampleDisk(join(folder.path, 'nowhere'), fakeClock())).rejects.toThrow('ENOENT');
});

test('open files of this machine are told', () => {
  const sample = sampleOpenFiles(fakeClock());
  expect(sample?.open).toBeGreaterThan(0);
  expect(sample?.limit).toBeGreaterThan(sample?.open ?? 0);
  expect(sampleOpenFiles(fakeClock(), '/nowhere')).toBeUndefined();
});

describe('the memory of a machine', () => {
  const meminfo = 'MemTotal:       67108864 kB\nMemFree:  1024 kB\nMemAvailable:   33554432 kB\n';

  test('is that of this one', () => {
    const sample = sampleHostMemory(fakeClock());
    expect(sample?.availableBytes).toBeGreaterThan(0);
    expect(sample?.totalBytes).toBeGreaterThan(sample?.availableBytes ?? 0);
  });

  test('comes with the tightest limit around us, in a unified hierarchy', async () => {
    using folder = temporaryFolder();
    await fill(folder.path, {
      'proc/meminfo': meminfo,
      'proc/pressure/memory':
        'some avg10=12.50 avg60=0.00 avg300=0.00 total=0\nfull avg10=3.00 avg60=0.00 avg300=0.00 total=0\n',
      'proc/self/cgroup': '0::/pod/box\n',
      'sys/fs/cgroup/pod/memory.max': `${8 * gib}\n`,
      'sys/fs/cgroup/pod/memory.current': `${7 * gib}\n`,
      'sys/fs/cgroup/pod/memory.stat': `anon 1\ninactive_file ${2 * gib}\nactive_file 5\n`,
      'sys/fs/cgroup/pod/box/memory.max': 'max\n',
      'sys/fs/cgroup/pod/box/memory.current': `${6 * gib}\n`,
    });
    expect(sampleHostMemory(fakeClock(), folder.path)).toEqual({
      at: 0,
      totalBytes: 64 * gib,
      availableBytes: 32 * gib,
      cgroup: { limitBytes: 8 * gib, usedBytes: 5 * gib },
      pressure: { some: 12.5, full: 3 },
    });
  });

  test('comes with the limit of a container of the old kind, whose path is that of its host', async () => {
    using folder = temporaryFolder();
    await fill(folder.path, {
      'proc/meminfo': meminfo,
      'proc/self/cgroup': '8:pids:/x\n4:cpu,memory:/docker/0123\n0::/\n',
      'sys/fs/cgroup/memory/memory.limit_in_bytes': `${4 * gib}\n`,
      'sys/fs/cgroup/memory/memory.usage_in_bytes': `${3 * gib}\n`,
      'sys/fs/cgroup/memory/memory.stat': `inactive_file 1\ntotal_inactive_file ${gib}\n`,
    });
    expect(sampleHostMemory(fakeClock(), folder.path)?.cgroup).toEqual({ limitBytes: 4 * gib, usedBytes: 2 * gib });
  });

  test('has no limit where none is set, and is unknown without /proc', async () => {
    using folder = temporaryFolder();
    await fill(folder.path, {
      'proc/meminfo': meminfo,
      'proc/self/cgroup': '4:memory:/\n',
      'sys/fs/cgroup/memory/memory.limit_in_bytes': '9223372036854771712\n',
      'sys/fs/cgroup/memory/memory.usage_in_bytes': '1\n',
    });
    const sample = sampleHostMemory(fakeClock(), folder.path);
    expect(sample).not.toHaveProperty('cgroup');
    expect(sample).not.toHaveProperty('pressure');
    expect(sampleHostMemory(fakeClock(), join(folder.path, 'nowhere'))).toBeUndefined();
  });
});

describe('old files', () => {
  const day = 86_400_000;
  /** Files of now, looked at ten days later. */
  const later = () => Date.now() + 10 * day;
  const clean = (folders: string[], now = later(), signal?: AbortSignal) =>
    removeOldFiles({ folders, olderThanMs: 7 * day, now, signal });

  test('are removed with the folders they leave empty, and counted', async () => {
    using folder = temporaryFolder();
    const output = join(folder.path, 'output');
    await fill(output, { 'a.png': 'x'.repeat(10_000), 'video/b.mp4': 'y'.repeat(20_000), 'video/deep/c.png': 'z' });
    await mkdir(join(output, 'always-empty'));
    const { files, bytes, problems } = await clean([output, join(folder.path, 'nowhere')]);
    expect({ files, problems }).toEqual({ files: 3, problems: [] });
    expect(bytes).toBeGreaterThanOrEqual(30_000);
    expect(await readdir(output)).toEqual(['always-empty']);
  });

  test('of yesterday stay', async () => {
    using folder = temporaryFolder();
    await fill(folder.path, { 'a.png': 'x' });
    expect(await clean([folder.path], Date.now() + day)).toEqual({ files: 0, bytes: 0, problems: [] });
    expect(await readdir(folder.path)).toEqual(['a.png']);
  });

  test('behind links stay, and so do the links', async () => {
    using folder = temporaryFolder();
    await fill(folder.path, { 'precious/model.safetensors': 'x', 'output/a.png': 'y' });
    await symlink('../precious', join(folder.path, 'output/models'));
    await symlink('../precious/model.safetensors', join(folder.path, 'output/model'));
    await symlink('output', join(folder.path, 'link'));
    expect(await clean([join(folder.path, 'output')])).toMatchObject({ files: 1, problems: [] });
    expect(await readdir(join(folder.path, 'precious'))).toEqual(['model.safetensors']);
    expect((await readdir(join(folder.path, 'output'))).toSorted()).toEqual(['model', 'models']);
    await fill(folder.path, { 'output/b.png': 'y' });
    expect((await clean([join(folder.path, 'link')])).files).toBe(0);
  });

  test('with another name elsewhere give nothing back', async () => {
    using folder = temporaryFolder();
    await fill(folder.path, { 'output/a.png': 'x'.repeat(10_000) });
    await link(join(folder.path, 'output/a.png'), join(folder.path, 'kept.png'));
    expect(await clean([join(folder.path, 'output')])).toEqual({ files: 1, bytes: 0, problems: [] });
  });

  test('outside are never reached, whoever puts links in the way meanwhile', async () => {
    using folder = temporaryFolder();
    const names = Array.from({ length: 60 }, (_, index) => `d${index}`);
    await fill(folder.path, { 'precious/keep.bin': 'x' });
    for (const name of names) await fill(folder.path, { [`output/${name}/old.png`]: 'y' });
    const swap = async () => {
      for (const name of names) {
        const path = join(folder.path, 'output', name);
        await rename(path, join(await mkdtemp(join(folder.path, 'moved-')), name)).catch(() => {}); // removed already
        await rm(path, { recursive: true, force: true });
        await symlink('../precious', path);
      }
    };
    await Promise.all([swap(), clean([join(folder.path, 'output')])]);
    await clean([join(folder.path, 'output')]);
    expect(await readdir(join(folder.path, 'precious'))).toEqual(['keep.bin']);
  });

  test('are left when the signal fires', async () => {
    using folder = temporaryFolder();
    await fill(folder.path, { 'a.png': 'x' });
    await expect(clean([folder.path], later(), AbortSignal.abort(new Error('enough')))).rejects.toThrow('enough');
    expect(await readdir(folder.path)).toEqual(['a.png']);
  });
});
