import { mkdir, readFile, readlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ControlClient, type MachineStatus, socketPathOf } from '@mgpu/control';
import { type JobEvent, layoutOf } from '@mgpu/core';
import { commitFiles } from '@mgpu/core/testing';
import { decode } from 'fast-png';
import { expect, test } from 'vitest';
import { openBox } from './support.ts';

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
  const { instances } = (await box.mgpu(['status', '--json'])).json<MachineStatus>().data;
  const own = instances.filter(({ kind }) => kind === 'a1111');
  expect(own.map(({ id, port, health }) => [id, port, health])).toEqual([
    ['a1111_gpu0', box.port + 22, 'ready'],
    ['a1111_gpu1', box.port + 23, 'ready'],
  ]);
  for (const { pid } of own) expect(await readFile(`/proc/${pid}/cmdline`, 'utf8')).toContain('\0--medvram\0');
  const proxied = await fetch(`http://127.0.0.1:${box.port + 25}/sdapi/v1/cmd-flags`);
  expect(await proxied.json()).toMatchObject({ port: box.port + 23 });

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
