import { createHash } from 'node:crypto';
import { statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { NginxService } from '../src/index.ts';
import { ask, type Rig, startRig, temporaryFolder } from './proxy.ts';

const basic = (user: string, password: string) => ({ authorization: `Basic ${btoa(`${user}:${password}`)}` });
const statusOf = async (url: URL, headers = {}) => (await fetch(url, { headers })).status;
const doors = (rig: Rig) => [rig.at('/comfyui/'), rig.at('/comfyui/0/'), rig.atGpu(0, '/'), rig.at('/elsewhere')];

test('every door to the engines asks for a password, the status socket does not', async () => {
  await using rig = await startRig(1, { credentials: 'sd:secret' });
  for (const door of doors(rig).slice(0, 3)) {
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
  const write = (user: string) => {
    const hash = createHash('sha1').update('secret').digest('base64');
    writeFileSync(authFile, `${user}:{SHA}${hash}\n`, { mode: 0o600 });
  };
  write('ann');
  await using rig = await startRig(1, { authFile, dir: join(folder.path, 'root') });
  expect(await statusOf(rig.at('/comfyui/'), basic('ann', 'secret'))).toBe(200);
  write('bob');
  await rig.nginx.reload();
  expect(await statusOf(rig.at('/comfyui/'), basic('ann', 'secret'))).toBe(401);
  expect(await statusOf(rig.at('/comfyui/'), basic('bob', 'secret'))).toBe(200);
  expect(statSync(join(folder.path, 'root')).mode & 0o077).toBe(0);
});

test.each([
  ['a file that is not there', undefined, 'ENOENT'],
  ['a file without users', '# nobody\n', 'there are none'],
  ['a file with something else', 'ann secret\n', 'line 1 is not `user:hash`'],
])('%s is refused at the start', async (_, content, problem) => {
  using folder = temporaryFolder();
  const authFile = join(folder.path, 'htpasswd');
  if (content !== undefined) writeFileSync(authFile, content);
  await expect(new NginxService({ authFile }).start()).rejects.toMatchObject({
    code: 'NGINX_AUTH_FILE',
    details: { problem },
  });
});
