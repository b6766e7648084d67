import { createServer } from 'node:net';
import { expect, test } from 'vitest';
import { invertWorkflow, openBox } from './support.ts';

test('an unknown configuration key is named with its value and a suggestion', async () => {
  await using box = await openBox(() => ({ comfyui: { basePrt: 9000 } }));
  for (const command of [
    ['config', 'validate'],
    ['up', '--mock', '1'],
  ]) {
    const { code, stderr } = await box.mgpu(command);
    expect(code).toBe(2);
    expect(stderr).toContain('services.comfyui.basePrt: unknown key (value 9000); did you mean "basePort"?');
  }
});

test('a wrong environment variable is named', async () => {
  await using box = await openBox();
  const { code, stderr } = await box.mgpu(['config', 'validate'], { NUM_GPUS: 'many' });
  expect(code).toBe(2);
  expect(stderr).toContain('environment variable NUM_GPUS');
});

test('a port in use stops the boot and names its holder', async () => {
  await using box = await openBox();
  const holder = createServer().listen(box.port, '127.0.0.1');
  try {
    const { code, stderr } = await box.mgpu(['up', '--mock', '1', '--detach']);
    expect(code).toBe(1);
    expect(stderr).toContain(`port ${box.port} on 127.0.0.1 is in use by process ${process.pid}`);
    expect((await box.mgpu(['status'])).code).toBe(3);
  } finally {
    holder.close();
  }
});

test('a port given twice is found before anything starts', async () => {
  await using box = await openBox((port) => ({
    nginx: { port: port + 1, upstreams: { comfyui: { basePort: port + 10 } } },
  }));
  const { code, stderr } = await box.mgpu(['up', '--mock', '2', '--detach']);
  expect(code).toBe(1);
  expect(stderr).toContain(`port ${box.port + 1} is given to more than one instance`);
  expect(stderr).toContain('comfyui_gpu1');
});

test('a GPU that is not there is named with those that are', async () => {
  await using box = await openBox(() => ({ comfyui: { gpus: [0, 7] } }));
  const { code, stderr } = await box.mgpu(['up', '--mock', '2', '--detach']);
  expect(code).toBe(1);
  expect(stderr).toContain('no such GPU: 7; this machine has 2 GPUs: 0 to 1');
});

test('a workflow that is missing, no JSON, or in the wrong format is refused with the cure', async () => {
  await using box = await openBox();
  await box.mgpu(['up', '--mock', '1', '--detach']);
  const missing = await box.mgpu(['run', 'nowhere.json']);
  expect(missing.code).toBe(1);
  expect(missing.stderr).toContain('there is no such file');
  const broken = await box.mgpu(['run', await box.writeJson('broken.json', '{')]);
  expect(broken.stderr).toContain('it is not JSON');
  const page = await box.mgpu(['run', await box.writeJson('page.json', { nodes: [], links: [] })]);
  expect(page.stderr).toContain('Export (API)');
});

test("a workflow the engine refuses comes back with the engine's own words", async () => {
  await using box = await openBox();
  await box.mgpu(['up', '--mock', '1', '--detach']);
  const { '3': save, ...rest } = invertWorkflow();
  const unknown = await box.mgpu([
    'run',
    await box.writeJson('unknown.json', { ...rest, '3': { ...save, class_type: 'NoSuchNode' } }),
  ]);
  expect(unknown.code).toBe(1);
  expect(unknown.stderr).toContain('NoSuchNode');
  const missing = { ...invertWorkflow(), '2': { class_type: 'ImageInvert', inputs: {} } };
  const { code, stderr } = await box.mgpu(['run', await box.writeJson('missing.json', missing)]);
  expect(code).toBe(1);
  expect(stderr).toMatch(/node 2.*ImageInvert.*image/s);
});

test('an engine that dies at start stops the boot with its last words', async () => {
  await using box = await openBox();
  const MGPU_SIM = JSON.stringify({ faults: { dieAtStart: { exitCode: 7, message: 'no kernel image is available' } } });
  const { code, stderr } = await box.mgpu(['up', '--mock', '1', '--detach'], { MGPU_SIM });
  expect(code).toBe(1);
  expect(stderr).toMatch(/comfyui_gpu0: the process ended with exit code 7.*no kernel image is available/);
  expect((await box.mgpu(['status'])).code).toBe(3);
});

test('a checkout that is not there is named with the key to set', async () => {
  await using box = await openBox(() => ({ comfyui: { dir: '/nowhere/ComfyUI' } }));
  const { code, stderr } = await box.mgpu(['up', '--detach'], { NUM_GPUS: '1', COMFYUI_CPU_MODE: 'true' });
  expect(code).toBe(1);
  expect(stderr).toMatch(/\/nowhere\/ComfyUI[\s\S]*services\.comfyui\.dir/);
});

test('a wrong command line is a usage error', async () => {
  await using box = await openBox();
  for (const args of [['nonsense'], ['up', '--mock', 'many'], ['run'], ['status', '--nonsense']]) {
    const { code, stderr } = await box.mgpu(args);
    expect(code, args.join(' ')).toBe(2);
    expect(stderr).not.toBe('');
  }
});
