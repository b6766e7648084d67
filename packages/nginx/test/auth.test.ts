import { createHash } from 'node:crypto';
import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { join } from 'node:path';
import { temporaryFolder } from '@mgpu/core/testing';
import { expect, test } from 'vitest';
import { NginxService } from '../src/index.ts';
import { ask, type Rig, startRig } from './proxy.ts';

const basic = (user: string, password: string) => ({ authorization: `Basic ${btoa(`${user}:${password}`)}` });
const secretHash = `{SHA}${createHash('sha1').update('secret').digest('base64')}`;
const statusOf = async (url: URL, headers = {}) => (await fetch(url, { headers })).status;
const doors = (rig: Rig) => [rig.at('/comfyui/'), rig.at('/comfyui/0/'), rig.atGpu(0, '/')];

test('every door to the engines asks for a password, the status socket does not', async () => {
  await using rig = await startRig(1, { credentials: 'sd:secret' });
  for (const door of doors(rig)) {
    expect(await statusOf(door)).toBe(401);
    expect(await statusOf(door, basic('sd', 'wrong'))).toBe(401);
    expect(await statusOf(door, basic('sd', 'secret'))).toBe(200);
  }
  const { echo } = await ask(rig.at('/comfyui/'), { headers: basic('sd', 'secret') });
  expect(echo.headers).not.toHaveProperty('authorization');
  expect(await rig.nginx.health()).toMatchObject({ health: 'ready' });
});

test('without users the engines get what the client sent', async () => {
  await using rig = await startRig(1);
  const headers = basic('engine', 'own');
  expect((await ask(rig.at('/comfyui/'), { headers })).echo.headers).toMatchObject(headers);
});

test('users come from a file that nobody else can read, and from the reload on from its new content', async () => {
  using folder = temporaryFolder();
  const authFile = join(folder.path, 'htpasswd');
  const write = (user: string) => writeFileSync(authFile, `${user}:${secretHash}\n`, { mode: 0o600 });
  write('ann');
  await using rig = await startRig(1, { authFile, dir: join(folder.path, 'root') });
  expect(await statusOf(rig.at('/comfyui/'), basic('ann', 'secret'))).toBe(200);
  write('bob');
  await rig.nginx.reload();
  const statuses = () =>
    Promise.all(['ann', 'bob'].map((user) => statusOf(rig.at('/comfyui/'), basic(user, 'secret'))));
  // nginx lets its former workers go a moment after the new ones have begun.
  await expect.poll(statuses).toEqual([401, 200]);
  expect(statSync(join(folder.path, 'root')).mode & 0o077).toBe(0);
});

test('nobody is refused, or let in who was not, while the configuration changes', async () => {
  using folder = temporaryFolder();
  const authFile = join(folder.path, 'htpasswd');
  writeFileSync(authFile, `ann:${secretHash}\n`);
  await using rig = await startRig(1, { authFile });
  let reloading = true;
  const statuses = new Set<number>();
  const asking = (async () => {
    while (reloading) statuses.add(await statusOnNewConnection(rig.at('/comfyui/'), 'ann:secret'));
  })();
  for (let n = 0; n < 5; n++) await rig.nginx.reload();
  reloading = false;
  await asking;
  expect([...statuses]).toEqual([200]);
});

test('users that vanish make it not ready, with their file', async () => {
  await using rig = await startRig(1, { credentials: 'sd:secret' });
  const usersFile = () => /auth_basic_user_file "(.*?)"/.exec(readFileSync(rig.nginx.configFile, 'utf8'))?.[1] ?? '';
  rmSync(usersFile());
  const reason = expect.stringContaining(usersFile());
  expect(await rig.nginx.health()).toMatchObject({ health: 'notReady', reason });
  await rig.nginx.reload();
  await expect.poll(() => rig.nginx.health()).toMatchObject({ health: 'ready' });
});

test.each([
  ['a file that is not there', undefined, 'ENOENT'],
  ['a file without users', '# nobody\n', 'there are none'],
  ['a file with something else', '# users\nann secret\n', 'line 2 is not `user:hash`'],
  ['a file with a plain password', 'ann:secret\n', 'line 1 has no hash that says its kind'],
])('%s is refused at the start', async (_, content, problem) => {
  using folder = temporaryFolder();
  const authFile = join(folder.path, 'htpasswd');
  if (content !== undefined) writeFileSync(authFile, content);
  await expect(new NginxService({ authFile }).start()).rejects.toMatchObject({
    code: 'NGINX_AUTH_FILE',
    details: { problem },
  });
});

test('credentials that nobody can use are refused with their key, whatever the file says', async () => {
  using folder = temporaryFolder();
  const authFile = join(folder.path, 'htpasswd');
  writeFileSync(authFile, `ann:${secretHash}\n`);
  await expect(new NginxService({ authFile, credentials: 'bob:' }).start()).rejects.toMatchObject({
    code: 'NGINX_AUTH_FILE',
    details: { path: 'services.nginx.credentials', problem: 'line 1 has no password' },
  });
});

/** Kept connections are closed by workers that end: only new ones are promised to be served. */
function statusOnNewConnection(url: URL, auth: string): Promise<number> {
  return new Promise((resolve, reject) => {
    get(url, { auth, agent: false }, (answer) => resolve(answer.resume().statusCode ?? 0)).once('error', reject);
  });
}
