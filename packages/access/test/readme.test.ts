import { existsSync, readdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { commitFiles, leasePorts } from '@mgpu/core/testing';
import { expect, test } from 'vitest';
import { SshServerService } from '../src/index.ts';
import { clonePrivately } from './example.ts';
import { hasSshd, makeKey, temporaryFolder, user } from './support.ts';

const read = (name: string) => readFile(join(import.meta.dirname, name), 'utf8');

test.skipIf(!hasSshd)('the example works, and leaves nothing of the key', async () => {
  const root = temporaryFolder();
  const key = makeKey(root, 'deploy');
  const commit = await commitFiles(join(root, 'repository'), { file: 'private\n' });
  using lease = await leasePorts(1);
  await using server = new SshServerService({ authorizedKeys: [key.open], port: lease.first });
  await server.start();
  const hostKey = (await readFile(join(server.configFolder, 'host_ed25519.pub'), 'utf8')).trim();
  const url = `ssh://${user}@127.0.0.1:${lease.first}${join(root, 'repository')}`;
  const known = [`[127.0.0.1]:${lease.first} ${hostKey}`];
  expect(await clonePrivately(url, join(root, 'clone'), key.secret, known)).toBe(commit);
  await expect(clonePrivately(url, join(root, 'other'), 'not a key', known)).rejects.toThrow(/is no private key/);
  const ours = readdirSync(tmpdir()).filter((name) => existsSync(join(tmpdir(), name, 'state/access/git/deploy_key')));
  expect(ours).toEqual([]);
});

test('the README shows that example', async () => {
  const [, shown] = /```ts\n(.*?)```/s.exec(await read('../README.md')) ?? [];
  expect(shown).toBe((await read('example.ts')).replace('../src/index.ts', '@mgpu/access'));
});
