import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import {
  instanceSocketPath,
  layoutOf,
  makePrivateFolder,
  prepareSocket,
  privateFolderOf,
  socketHolder,
  socketUrl,
} from '@mgpu/core';
import { temporaryFolder } from '@mgpu/core/testing';
import { describe, expect, test } from 'vitest';

describe('the socket of an instance', () => {
  test('lies below the root, and goes with the run, also one that was left', async () => {
    using folder = temporaryFolder();
    const layout = layoutOf(folder.path);
    mkdirSync(layout.run, { mode: 0o700 });
    writeFileSync(join(layout.run, 'redis.sock'), '');
    await using run = new AsyncDisposableStack();
    const path = await prepareSocket(run, layout, 'redis');
    expect(path).toBe(join(layout.run, 'redis.sock'));
    expect(existsSync(path)).toBe(false);
    writeFileSync(path, '');
    await run.disposeAsync();
    expect(existsSync(path)).toBe(false);
    expect(existsSync(layout.run)).toBe(true);
  });

  test('lies in a private folder below a root too deep for it, which goes with the run', async () => {
    using folder = temporaryFolder();
    const layout = layoutOf(join(folder.path, 'x'.repeat(120)));
    await using run = new AsyncDisposableStack();
    const path = await prepareSocket(run, layout, 'redis');
    expect(path).toBe(join(privateFolderOf(layout, 'redis'), 'redis.sock'));
    expect(path).toBe(instanceSocketPath(layout, 'redis'));
    expect(statSync(join(path, '..')).mode & 0o777).toBe(0o700);
    await run.disposeAsync();
    expect(existsSync(join(path, '..'))).toBe(false);
  });

  test('has a URL whatever its path', () => {
    expect(socketUrl('/a #b/c.sock').href).toBe('unix:///a%20%23b/c.sock');
  });

  test.skipIf(process.platform !== 'linux')('tells who listens on it', async () => {
    using folder = temporaryFolder();
    const path = join(folder.path, 'a.sock');
    expect(socketHolder((each) => each === path)).toBeUndefined();
    const server = createServer().listen(path);
    await once(server, 'listening');
    expect(socketHolder((each) => each === path)).toMatchObject({ pid: process.pid });
    server.close();
  });
});

test.each([
  ['a file', (path: string) => writeFileSync(path, ''), /is no folder/],
  ['open to others', (path: string) => openFolder(path), /others may write/],
])('a private folder that is %s is refused', async (_, make, problem) => {
  using folder = temporaryFolder();
  const path = join(folder.path, 'private');
  make(path);
  await expect(makePrivateFolder('redis', path)).rejects.toThrow(problem);
});

function openFolder(path: string): void {
  mkdirSync(path);
  chmodSync(path, 0o777);
}
