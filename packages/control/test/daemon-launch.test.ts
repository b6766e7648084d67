import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type DaemonNews, launchDaemon } from '@mgpu/control';
import { type ErrorReport, layoutOf } from '@mgpu/core';
import { temporaryFolder } from '@mgpu/core/testing';
import { expect, test } from 'vitest';

const program = join(import.meta.dirname, 'fixtures/launched.mjs');
const error: ErrorReport = { code: 'TEST_PORT', message: 'port 1 is taken', retryable: false };

function launch(script: object) {
  const root = temporaryFolder();
  const command = [process.execPath, program, JSON.stringify(script)] as const;
  const daemon = launchDaemon({ command, env: process.env, layout: layoutOf(root.path) });
  return { root: root.path, daemon, [Symbol.dispose]: () => root[Symbol.dispose]() };
}

async function read(news: AsyncIterable<DaemonNews>, until: DaemonNews['event']): Promise<string[]> {
  const heard: string[] = [];
  for await (const { event } of news) {
    heard.push(event);
    if (event === until) break;
  }
  return heard;
}

test('what a daemon said before it ended at once arrives, to the last word', async () => {
  const phases = Array.from({ length: 200 }, () => ({ event: 'phase', data: {} }));
  using launched = launch({ news: [...phases, { event: 'failed', error }], exitCode: 2 });
  await launched.daemon.exited; // nobody listened so far
  const heard = await read(launched.daemon.news(), 'failed');
  expect(heard).toHaveLength(201);
  expect(heard.at(-1)).toBe('failed');
});

test('a daemon that ends without a word is told by its exit code and its last lines', async () => {
  using launched = launch({ says: 'out of luck', exitCode: 3 });
  await expect(read(launched.daemon.news(), 'failed')).rejects.toMatchObject({
    code: 'CONTROL_DAEMON_DIED',
    message: expect.stringMatching(/exit code 3.*out of luck/),
    hint: expect.stringContaining(join(launched.root, 'logs', 'daemon.out')),
  });
});

test('a daemon goes on when its launcher has heard enough', async () => {
  using folder = temporaryFolder();
  const aliveFile = join(folder.path, 'alive');
  using launched = launch({ news: [{ event: 'boot', data: {} }], aliveFile });
  await read(launched.daemon.news(), 'boot');
  expect(await launched.daemon.exited).toBe(0);
  expect(readFileSync(aliveFile, 'utf8')).toBe('launched');
});
