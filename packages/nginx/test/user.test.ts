import { spawnSync } from 'node:child_process';
import { chownSync, readFileSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { leasePorts, temporaryFolder } from '@mgpu/core/testing';
import { expect, test } from 'vitest';
import { ask, startRig, workersOf } from './proxy.ts';

const fixture = fileURLToPath(new URL('fixtures/ordinary-user.ts', import.meta.url));
const isRoot = process.getuid?.() === 0;
const nobody = { uid: 65_534, gid: 65_534 };
/** A checkout below /root is closed to everybody else. */
const canRead =
  isRoot && spawnSync(process.execPath, ['--check', fixture], { ...nobody, cwd: '/', timeout: 20_000 }).status === 0;

test.skipIf(!canRead)('works for an ordinary user', async () => {
  using folder = temporaryFolder();
  using lease = await leasePorts(3);
  chownSync(folder.path, nobody.uid, nobody.gid);
  const { stdout, stderr } = spawnSync(process.execPath, [fixture, folder.path, String(lease.first)], {
    ...nobody,
    cwd: '/',
    encoding: 'utf8',
    timeout: 20_000,
  });
  expect(stderr).not.toMatch(/error/i);
  expect(JSON.parse(stdout)).toEqual({ uid: nobody.uid, closed: 401, open: 200, text: 'engine' });
});

test.skipIf(!isRoot)('started as root its workers are somebody else, who can still read the users', async () => {
  using folder = temporaryFolder();
  expect(statSync(folder.path).mode & 0o077).toBe(0);
  await using rig = await startRig(1, { dir: folder.path, credentials: 'sd:secret' });
  const workers = workersOf(rig.nginx);
  expect(workers.length).toBeGreaterThan(0);
  // One answers already while the next is still about to change its account.
  await expect.poll(() => workers.map(uidOf)).not.toContain(0);
  const headers = { authorization: `Basic ${btoa('sd:secret')}` };
  expect((await ask(rig.at('/comfyui/'), { headers })).echo.gpu).toBe(0);
});

test.skipIf(!isRoot)('users that the workers cannot read are found out at the start', async () => {
  using closed = temporaryFolder();
  const { TMPDIR } = process.env;
  process.env.TMPDIR = closed.path;
  try {
    await expect(startRig(1, { credentials: 'sd:secret' })).rejects.toMatchObject({ code: 'NGINX_AUTH_UNREADABLE' });
    await using rig = await startRig(1, { credentials: 'sd:secret', user: 'root' });
    expect(rig.nginx.status.health).toBe('ready');
  } finally {
    if (TMPDIR === undefined) delete process.env.TMPDIR;
    else process.env.TMPDIR = TMPDIR;
  }
});

test.skipIf(!isRoot)('an account that does not exist is refused with its name', async () => {
  const user = 'no-such-account';
  await expect(startRig(1, { user })).rejects.toMatchObject({
    code: 'NGINX_CONFIG_REJECTED',
    message: expect.stringContaining(user),
  });
});

const uidOf = (pid: string) => Number(/^Uid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
