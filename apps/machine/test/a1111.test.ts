import { mkdir, readFile, readlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ControlClient, socketPathOf } from '@mgpu/control';
import { type JobEvent, layoutOf } from '@mgpu/core';
import { commitFiles, torchWheels, writeWheels } from '@mgpu/core/testing';
import { a1111Checkout } from '@mgpu/simulator';
import { decode } from 'fast-png';
import { expect, test } from 'vitest';
import { openBox, statusOf } from './support.ts';

/** Repositories that the program's launcher wants beside its own. */
const helpers = [
  'stable-diffusion-webui-assets',
  'stable-diffusion-stability-ai',
  'generative-models',
  'k-diffusion',
  'BLIP',
];

const ports = (port: number) => ({
  a1111: { enabled: true, basePort: port + 22 },
  nginx: { port: port + 10, upstreams: { comfyui: { basePort: port + 11 }, a1111: { basePort: port + 24 } } },
});

test('on simulated GPUs Automatic1111 is simulated, takes jobs and is reached through the proxy', async () => {
  await using box = await openBox(ports);
  const up = await box.mgpu(['up', '--mock', '2', '--detach'], {
    A1111_ARGS: '--medvram',
    MGPU_SIM_A1111: '{"stepMs":5}',
  });
  expect(up).toMatchObject({ code: 0, stderr: '' });
  expect(up.stdout).toMatch(/✔ A1111 .*\n/);
  const { instances } = await statusOf(box);
  const own = instances.filter(({ kind }) => kind === 'a1111');
  expect(own.map(({ id, port, health }) => [id, port, health])).toEqual([
    ['a1111_gpu0', box.port + 22, 'ready'],
    ['a1111_gpu1', box.port + 23, 'ready'],
  ]);
  for (const { pid } of own) expect(await readFile(`/proc/${pid}/cmdline`, 'utf8')).toContain('\0--medvram\0');
  const proxied = await fetch(`http://127.0.0.1:${box.port + 25}/sdapi/v1/cmd-flags`);
  expect(await proxied.json()).toMatchObject({ port: box.port + 23 });

  const listed = await box.mgpu(['a1111', 'models']);
  expect(listed.stdout).toMatch(/^checkpoint +loaded by\nsd_xl.* a1111_gpu0, a1111_gpu1\nv1-5.* \[[0-9a-f]{10}\]\n$/);
  const [, hash = ''] = /v1-5.*\[(.+)\]/.exec(listed.stdout) ?? [];
  const loaded = await box.mgpu(['a1111', 'load', hash, '--gpu', '1']);
  expect(loaded).toMatchObject({ code: 0, stdout: `✔ a1111_gpu1  v1-5-pruned-emaonly.safetensors [${hash}]\n` });
  expect((await box.mgpu(['a1111', 'models'])).stdout).toMatch(/sd_xl.* a1111_gpu0\nv1-5.* a1111_gpu1\n/);
  await fetch(`http://127.0.0.1:${box.port + 23}/sim/faults`, {
    method: 'PUT',
    body: JSON.stringify({ garbageJson: { paths: ['/sdapi/v1/sd-models'] } }),
  });
  const partly = await box.mgpu(['a1111', 'load', 'v1-5-pruned-emaonly']);
  expect(partly.stdout).toMatch(/✔ a1111_gpu0 {2}v1-5.*\n✖ a1111_gpu1 {2}Automatic1111 gave an answer/);
  expect(partly.code).toBe(4);
  const unknown = await box.mgpu(['a1111', 'load', 'nothing', '--gpu', '0', '--json']);
  expect(unknown.code).toBe(1);
  expect(unknown.json().data).toMatchObject([{ instance: 'a1111_gpu0', error: { code: 'A1111_CHECKPOINT_UNKNOWN' } }]);
  expect((await box.mgpu(['a1111', 'load', 'x', '--gpu', '2'])).stderr).toContain('no Automatic1111 runs on GPU 2');
  for (const { stdout } of [listed, partly, await box.mgpu(['a1111', 'setup', '--help'])])
    expect(Math.max(...stdout.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80);

  await using client = new ControlClient({ socketPath: socketPathOf(layoutOf(box.root)) });
  const input = { txt2img: { prompt: 'a machine', seed: 6, steps: 400, width: 64, height: 64 } };
  const id = await client.submit({ type: 'a1111', input });
  const events: JobEvent[] = [];
  for await (const event of client.watch(id)) events.push(event);
  const last = events.at(-1);
  expect(last).toMatchObject({ event: 'ended', status: { state: 'completed' } });
  const [artifact] = last?.event === 'ended' ? (last.status.result?.artifacts ?? []) : [];
  expect(artifact).toMatchObject({ mediaType: 'image/png', origin: { seed: '6' }, sha256: expect.any(String) });
  expect(decode(await readFile(artifact?.path ?? ''))).toMatchObject({ width: 64, height: 64 });
  expect(events.map(({ event }) => event)).toEqual(expect.arrayContaining(['progress', 'preview']));
  const down = await box.mgpu(['down']);
  expect(down.code).toBe(0);
});

test('static links find the tree of models that its installation makes, also when that fails later on', async () => {
  await using box = await openBox(
    (port, dir) => ({
      ...ports(port),
      a1111: {
        ...ports(port).a1111,
        setup: {
          repository: join(dir, 'nowhere'),
          models: { repository: join(dir, 'models'), ref: 'main' },
        },
      },
      comfyui: { enabled: false },
      worker: { enabled: false },
    }),
    { gpu: { mode: 'cpu', count: 1 } },
  );
  await commitFiles(join(box.dir, 'models'), { 'Stable-diffusion/tiny.safetensors': 'weights' });
  const { shared } = layoutOf(box.root);
  await mkdir(join(shared, 'models', 'loras'), { recursive: true });
  await writeFile(join(shared, 'models', 'loras', 'style.safetensors'), 'style');
  const symlinks = [
    { source: 'Stable-diffusion/tiny.safetensors', target: 'checkpoints/tiny.safetensors' },
    { source: 'models/loras/style.safetensors', target: 'sd_models/Lora/other-name.safetensors' },
  ];
  await writeFile(join(shared, 'static-models.json'), JSON.stringify({ symlinks }));
  const up = await box.mgpu(['up', '--detach']);
  expect(up.stdout).toMatch(/✖ A1111 setup(?:.|\n)*✔ static model links .* after a1111:install/);
  expect(await readFile(join(shared, 'models', 'checkpoints', 'tiny.safetensors'), 'utf8')).toBe('weights');
  expect(await readlink(join(shared, 'sd_models', 'Lora'))).toBe('../models/loras');
  expect(await readFile(join(shared, 'models', 'loras', 'other-name.safetensors'), 'utf8')).toBe('style');
});

test('it is installed and updated by a command; what runs keeps its own until it is restarted', {
  timeout: 120_000,
}, async () => {
  await using box = await openBox(
    (port, dir) => ({
      ...ports(port),
      a1111: {
        ...ports(port).a1111,
        setup: {
          repository: join(dir, 'webui'),
          ref: 'main',
          helpers: Object.fromEntries(helpers.map((name) => [name, { repository: join(dir, name), ref: 'main' }])),
          python: 'python3',
          installer: 'pip',
          packages: { wheels: [join(dir, 'wheels')], offline: true },
          torch: { index: 'packages', requirements: ['torch', 'torchvision'] },
          launcherPackages: ['wheel'],
        },
      },
      comfyui: { enabled: false },
      worker: { enabled: false },
      nginx: { enabled: false },
    }),
    { gpu: { mode: 'cpu', count: 1 } },
  );
  await writeWheels(join(box.dir, 'wheels'), [...torchWheels('2.1.2+cpu'), { name: 'wheel', version: '0.45' }]);
  for (const name of helpers) await commitFiles(join(box.dir, name), { 'README.md': name });
  const release = () => commitFiles(join(box.dir, 'webui'), a1111Checkout({ requirements: ['torch'] }));
  const one = (await release()).slice(0, 7);
  const first = await box.mgpu(['a1111', 'setup']);
  expect(first).toMatchObject({ code: 0, stderr: '' });
  expect(first.stdout).toMatch(/✔ checkout(?:.|\n)*✔ helpers(?:.|\n)*✔ torch(?:.|\n)*✔ verification/);
  expect(first.stdout).toMatch(new RegExp(`^Automatic1111 ${one} is in force \\(${one}-[0-9a-f]{8}\\)$`, 'm'));
  expect((await box.mgpu(['a1111', 'setup'])).stdout).toContain('is there already');

  expect((await box.mgpu(['up', '--detach'])).code).toBe(0);
  const folder = async () => {
    const { instances } = await statusOf(box);
    return readlink(`/proc/${instances.find(({ id }) => id === 'a1111_gpu0')?.pid}/cwd`);
  };
  const two = (await release()).slice(0, 7);
  const update = await box.mgpu(['a1111', 'setup', '--update']);
  expect(update.stdout).toMatch(
    new RegExp(`${two} is in force .*\nrunning instances keep theirs until they are restarted: a1111_gpu0\n`),
  );
  expect(await folder()).toContain(`/installations/${one}-`);
  await using client = new ControlClient({ socketPath: socketPathOf(layoutOf(box.root)) });
  await client.restartInstance('a1111_gpu0');
  expect(await folder()).toContain(`/installations/${two}-`);
});
