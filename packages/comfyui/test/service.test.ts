import { mkdir, readFile, readlink, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { cpuGpu, silentLogger } from '@mgpu/core';
import { leasePorts, serviceConformance, testContext } from '@mgpu/core/testing';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { ComfyUIClient } from '../src/client/comfyui-client.ts';
import { comfyui } from '../src/comfyui.ts';
import { ComfyUIService } from '../src/comfyui-service.ts';
import { comfyuiSchema } from '../src/config.ts';
import { ownProcessProbe } from '../src/own-process-probe.ts';
import { inFolder, invertGraph, namesIn, simulator, startEngine } from './support.ts';

const ports = await leasePorts(8);
const port = (n: number) => ports.first + n;

serviceConformance({
  definition: comfyui,
  config: { command: simulator, basePort: port(0) },
  context: () => testContext({ kind: 'comfyui', gpu: cpuGpu(0) }),
  test,
});

/** A checkout whose `main.py` is run by a "Python" that starts the simulator in its place. */
async function makeCheckout(dir: string): Promise<void> {
  await mkdir(join(dir, 'venv', 'bin'), { recursive: true });
  await writeFile(join(dir, 'main.py'), '');
  const python = `#!/bin/sh\nexec ${simulator.map((word) => `'${word}'`).join(' ')} "$@"\n`;
  await writeFile(join(dir, 'venv', 'bin', 'python'), python, { mode: 0o755 });
}

test('every option reaches the process, its own arguments last', async () => {
  await using engine = await startEngine({ args: ['--preview-method', 'latent2rgb', '--max-upload-size', '7'] });
  const { context, service, client } = engine;
  const own = join(context.layout.root, 'comfyui_gpu0');
  const { argv } = (await client.systemStats()).system;
  expect(argv.slice(1)).toEqual([
    ...['--listen', '127.0.0.1', '--port', String(service.port), '--disable-auto-launch'],
    ...['--output-directory', join(own, 'output'), '--input-directory', join(context.layout.shared, 'input')],
    ...['--temp-directory', own, '--user-directory', join(own, 'user')],
    ...['--database-url', `sqlite:///${join(own, 'user', 'comfyui.db')}`],
    ...['--extra-model-paths-config', join(own, 'extra_model_paths.yaml'), '--cpu'],
    ...['--preview-method', 'latent2rgb', '--max-upload-size', '7'],
  ]);
  const environment = (await readFile(`/proc/${service.pid}/environ`, 'utf8')).split('\0');
  expect(environment).toEqual(
    expect.arrayContaining(['PYTHONUNBUFFERED=1', 'PYTHONDONTWRITEBYTECODE=1', 'CUDA_VISIBLE_DEVICES=']),
  );
  expect(await readlink(join(own, 'user', 'default', 'workflows'))).toBe(join(context.layout.shared, 'workflows'));
  expect((await stat(join(context.layout.shared, 'models', 'checkpoints'))).isDirectory()).toBe(true);
  expect(service.endpoint).toMatchObject({
    kind: 'comfyui',
    gpu: 0,
    local: { outputDir: join(own, 'output'), tempDir: join(own, 'temp') },
  });
});

test('it proves by use that it makes pictures, and leaves none behind', async () => {
  await using engine = await startEngine({
    sim: { faults: { raise: { atNode: 2, times: 1, message: 'no kernel image' } } },
  });
  const { service, context } = engine;
  await expect(service.verify()).rejects.toMatchObject({
    code: 'CORE_VERIFICATION_FAILED',
    message: expect.stringMatching(/^comfyui_gpu0 was tried out and did not do its work: .*no kernel image/),
  });
  expect(service.status).toMatchObject({ state: 'running', health: 'degraded' });
  await service.verify();
  expect(service.status).toMatchObject({ state: 'running', health: 'ready' });
  expect(await namesIn(join(context.layout.instance(service.id), 'output'))).toEqual([]);
});

test('a restart gives it the same arguments, in the same mode', async () => {
  await using engine = await startEngine({ args: ['--preview-method', 'latent2rgb'] });
  const argumentsOf = async () => (await engine.client.systemStats()).system.argv;
  const before = await argumentsOf();
  expect(before.slice(-3)).toEqual(['--cpu', '--preview-method', 'latent2rgb']);
  const { pid } = engine.service;
  await engine.service.restart();
  expect(engine.service.pid).not.toBe(pid);
  expect(await argumentsOf()).toEqual(before);
});

test('it frees what memory it can when it is asked to', async () => {
  await using engine = await startEngine();
  const { promptId } = await engine.client.submit(invertGraph());
  await expect.poll(() => engine.client.history(promptId)).toBeDefined();
  expect(await engine.state()).not.toMatchObject({ cachedResults: 0 });
  expect(await engine.service.relieve()).toBe(true);
  expect(await engine.state()).toMatchObject({ cachedResults: 0 });
});

test('shared models are found, those of types that custom nodes brought included', async () => {
  using context = testContext({ kind: 'comfyui', gpu: cpuGpu(0) });
  const models = join(context.layout.shared, 'models');
  await mkdir(join(models, 'checkpoints'), { recursive: true });
  await mkdir(join(models, 'ipadapter'), { recursive: true });
  await writeFile(join(models, 'checkpoints', 'mine.safetensors'), '');
  await using service = new ComfyUIService({ command: simulator, port: port(1) }, context);
  await service.start();
  const info = await (await fetch(new URL('object_info/CheckpointLoaderSimple', service.endpoint.url))).json();
  expect(JSON.stringify(info)).toContain('mine.safetensors');
  const file = parse(await readFile(join(context.layout.instance('comfyui_gpu0'), 'extra_model_paths.yaml'), 'utf8'));
  expect(file.mgpu).toMatchObject({
    base_path: context.layout.shared,
    ipadapter: 'models/ipadapter/',
    text_encoders: 'models/text_encoders/\nmodels/clip/',
    custom_nodes: 'custom_nodes/',
  });
});

test('one checkout serves two instances at once and is not changed', () =>
  inFolder(async (dir) => {
    await makeCheckout(dir);
    const before = await namesIn(dir);
    using first = testContext({ kind: 'comfyui', gpu: cpuGpu(0) });
    using second = testContext({ kind: 'comfyui', gpu: cpuGpu(1), root: first.layout.root });
    const config = comfyuiSchema.parse({ dir, basePort: port(2) });
    await using one = comfyui.create(config, first);
    await using other = comfyui.create(config, second);
    await Promise.all([one.start(), other.start()]);
    const argvs = await Promise.all(
      [one, other].map(async ({ endpoint }) => {
        const { system } = (await (await fetch(new URL('system_stats', endpoint?.url))).json()) as {
          system: { argv: string[] };
        };
        return system.argv;
      }),
    );
    expect(argvs.map(([main]) => main)).toEqual([join(dir, 'main.py'), join(dir, 'main.py')]);
    const shared = [dir, first.layout.shared];
    const paths = argvs.map((argv) =>
      argv.filter((word) => word.includes('/') && !shared.some((each) => word.startsWith(each))),
    );
    expect(paths[0]?.length).toBeGreaterThan(4);
    expect(paths[0]?.filter((path) => paths[1]?.includes(path))).toEqual([]);
    await Promise.all([one.stop(), other.stop()]);
    expect(await namesIn(dir)).toEqual(before);
  }));

test('a ComfyUI that is too old ends the start', async () => {
  const start = startEngine({ sim: { version: '0.3.56' } });
  await expect(start).rejects.toMatchObject({
    code: 'COMFYUI_TOO_OLD',
    message: 'comfyui_gpu0: this ComfyUI is version 0.3.56; 0.3.57 is the oldest that mgpu can drive',
  });
});

test('flags that mean nothing on the CPU are left out there, with a warning', async () => {
  const warnings: string[] = [];
  const log = { ...silentLogger, warn: (message: string) => void warnings.push(message) };
  using context = testContext({ kind: 'comfyui', gpu: cpuGpu(0), log });
  const args = ['--lowvram', '--disable-metadata'];
  await using service = new ComfyUIService({ command: simulator, port: port(6), args }, context);
  await service.start();
  await using client = new ComfyUIClient(service.endpoint);
  const { argv } = (await client.systemStats()).system;
  expect(argv.slice(-2)).toEqual(['--cpu', '--disable-metadata']);
  expect(warnings).toEqual(['comfyui_gpu0: left out on the CPU, where they mean nothing: --lowvram']);
});

test('without a checkout or its Python the reason and the cure are told', () =>
  inFolder(async (dir) => {
    using context = testContext({ kind: 'comfyui', gpu: cpuGpu(0), root: dir });
    const { layout, env, clock, machine } = context;
    const install = (config: Record<string, unknown>) =>
      comfyui.install?.(
        { layout, env, clock, machine, log: silentLogger, signal: new AbortController().signal },
        comfyuiSchema.parse(config),
      );
    const current = join(dir, 'engines', 'comfyui', 'current');
    await expect(install({})).rejects.toMatchObject({
      code: 'COMFYUI_DIR_MISSING',
      message: `there is no ComfyUI in ${current}: the folder does not exist`,
      hint: expect.stringContaining('services.comfyui.dir'),
    });
    await expect(install({ dir })).rejects.toMatchObject({ details: { problem: 'main.py is not in it' } });
    await makeCheckout(dir);
    await expect(install({ dir, python: join(dir, 'nope') })).rejects.toMatchObject({ code: 'COMFYUI_PYTHON_MISSING' });
    await rm(join(dir, 'venv', 'bin', 'python'));
    await expect(install({ dir })).rejects.toMatchObject({ code: 'COMFYUI_PYTHON_MISSING' });
    expect(await comfyui.doctor?.(comfyuiSchema.parse({ dir }), { layout, env })).toMatchObject([
      { level: 'error', hint: expect.any(String) },
    ]);
  }));

test('what dies at its start is told with its last words', async () => {
  const start = startEngine({
    sim: { faults: { dieAtStart: { exitCode: 1, message: 'ModuleNotFoundError: No module named torch' } } },
  });
  await expect(start).rejects.toMatchObject({
    code: 'CORE_PROCESS_EXITED',
    message: expect.stringContaining('exit code 1; its last words: ModuleNotFoundError: No module named torch'),
  });
});

test('a port that is taken is told with its holder', async () => {
  await using stranger = await startEngine();
  using context = testContext({ kind: 'comfyui', gpu: cpuGpu(1) });
  await using service = new ComfyUIService({ command: simulator, port: stranger.service.port }, context);
  await expect(service.start()).rejects.toMatchObject({
    code: 'CORE_PORT_IN_USE',
    details: { pid: stranger.service.pid },
  });
});

test('another ComfyUI that answers in its place ends the start', async () => {
  await using stranger = await startEngine();
  const { url } = stranger.service.endpoint;
  const ask = (outputDir: string) =>
    ownProcessProbe({ instance: 'comfyui_gpu7', url, outputDir }).attempt({ signal: new AbortController().signal });
  expect(await ask('/somewhere/else')).toMatchObject({
    outcome: 'fatal',
    error: { code: 'COMFYUI_FOREIGN_PROCESS', message: expect.stringContaining(`process ${stranger.service.pid}`) },
  });
  expect(await ask(stranger.service.endpoint.local?.outputDir ?? '')).toEqual({ outcome: 'ok' });
});

test('another ComfyUI that comes up in its place ends the start', async () => {
  await using first = await startEngine();
  const taken = first.service.port;
  await first.service.stop();
  using context = testContext({ kind: 'comfyui', gpu: cpuGpu(1) });
  const deaf = [process.execPath, '-e', 'setInterval(() => {}, 1000)', '--'];
  await using service = new ComfyUIService({ command: deaf, port: taken }, context);
  const told = expect(service.start()).rejects.toMatchObject({ code: 'COMFYUI_FOREIGN_PROCESS' });
  await expect.poll(() => service.pid).toBeDefined();
  await first.service.start();
  await told;
});

test('a server that took the port during the start and is no ComfyUI is not believed', async () => {
  const server = createServer((_, response) => response.end('hello'));
  await new Promise<void>((resolve) => server.listen(port(4), '127.0.0.1', resolve));
  const probe = ownProcessProbe({ instance: 'x', url: new URL(`http://127.0.0.1:${port(4)}`), outputDir: '/x' });
  expect(await probe.attempt({ signal: new AbortController().signal })).toMatchObject({ outcome: 'fail' });
  await new Promise((resolve) => server.close(resolve));
});

test('alone it needs three keys, asks no driver on the CPU, and takes its folder along', async () => {
  const service = new ComfyUIService({ gpu: 3, cpu: true, command: simulator, port: port(5) });
  await service.start();
  expect(service.status).toMatchObject({
    id: 'comfyui_gpu3',
    gpu: 3,
    state: 'running',
    health: 'ready',
    port: port(5),
  });
  const outputDir = service.endpoint.local?.outputDir ?? '';
  expect((await stat(outputDir)).isDirectory()).toBe(true);
  await service.stop();
  expect(service.status).toMatchObject({ state: 'stopped', lastExit: { code: 0, signal: null } });
  await expect(stat(outputDir)).rejects.toMatchObject({ code: 'ENOENT' });
});

test('the configuration refuses what would mix up instances, and says so', () => {
  const { error } = comfyuiSchema.safeParse({ args: ['--port', '9000'] });
  expect(error?.issues[0]?.message).toMatch(/mgpu itself sees to .*--port/);
  expect(comfyuiSchema.safeParse({ args: ['--output-directory=/x'] }).success).toBe(false);
  expect(comfyui.ports?.(comfyuiSchema.parse({}), [0, 2], [])).toEqual([
    { instance: 'comfyui_gpu0', port: 8188 },
    { instance: 'comfyui_gpu2', port: 8190 },
  ]);
});

test('its variables become configuration', () => {
  const parsed = Object.entries(comfyui.env ?? {}).map(([name, { key, parse: read }]) => [
    name,
    key,
    read?.('--lowvram 1', {}),
  ]);
  expect(parsed).toContainEqual(['COMFY_ARGS', 'args', ['--lowvram', '1']]);
  expect(comfyui.env?.WORKER_BASE_COMFYUI_PORT?.parse?.('9000')).toBe(9000);
});

test('a start that takes too long is told', async () => {
  const start = startEngine({ sim: { startMs: 60_000 }, startDeadlineMs: 400 });
  await expect(start).rejects.toMatchObject({ code: 'CORE_START_TIMEOUT' });
});
