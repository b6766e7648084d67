import { mkdir, readFile, readlink, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cpuGpu, type Gpu, layoutOf, silentLogger } from '@mgpu/core';
import { leasePorts, serviceConformance, temporaryFolder, testContext } from '@mgpu/core/testing';
import { expect, test } from 'vitest';
import { a1111 } from '../src/a1111.ts';
import { A1111Service } from '../src/a1111-service.ts';
import { A1111Client } from '../src/client/a1111-client.ts';
import { loadModel } from '../src/client/load-model.ts';
import { a1111Schema } from '../src/config.ts';
import { ownProcessProbe } from '../src/own-process-probe.ts';
import { simulator, startEngine } from './support.ts';

const ports = await leasePorts(8);
const port = (n: number) => ports.first + n;

serviceConformance({
  definition: a1111,
  config: { command: simulator, basePort: port(0) },
  context: () => testContext({ kind: 'a1111', gpu: cpuGpu(0) }),
  test,
});

const argumentsOf = async (pid: number | undefined) =>
  (await readFile(`/proc/${pid}/cmdline`, 'utf8')).split('\0').slice(2, -1);
const environmentOf = async (pid: number | undefined) => (await readFile(`/proc/${pid}/environ`, 'utf8')).split('\0');

test('every option reaches the process, its own arguments last, and nothing it would fetch at a start', async () => {
  await using engine = await startEngine({ args: ['--medvram', '--opt-sdp-attention'], xformers: true, noHalf: true });
  const { layout } = engine.context;
  const shared = (...path: string[]) => join(layout.shared, ...path);
  expect(await argumentsOf(engine.service.pid)).toEqual([
    ...['--skip-prepare-environment', '--skip-python-version-check', '--skip-version-check', '--no-download-sd-model'],
    ...['--api', '--nowebui', '--server-name', '127.0.0.1', '--port', String(engine.service.port)],
    ...['--data-dir', layout.instance('a1111_gpu0'), '--models-dir', shared('sd_models')],
    ...['--ckpt-dir', shared('models', 'checkpoints'), '--embeddings-dir', shared('models', 'embeddings')],
    ...['--styles-file', shared('a1111', 'styles.csv')],
    ...['--skip-torch-cuda-test', '--use-cpu', 'all', '--no-half', '--precision', 'full'],
    ...['--medvram', '--opt-sdp-attention'],
  ]);
  expect(await environmentOf(engine.service.pid)).toEqual(
    expect.arrayContaining(['PYTHONUNBUFFERED=1', 'GIT_TERMINAL_PROMPT=0', 'CUDA_VISIBLE_DEVICES=']),
  );
});

test('on a GPU it sees that one alone, which is then its first', async () => {
  const gpu: Gpu = { index: 1, mode: 'nvidia', uuid: 'GPU-1b2c', name: 'a GPU', memoryMiB: 1 };
  const env = { ...process.env, COMMANDLINE_ARGS: '--listen', LD_PRELOAD: '' };
  using context = testContext({ kind: 'a1111', gpu, env });
  const options = { command: simulator, xformers: true, noHalf: true, port: port(1), ui: true };
  await using service = new A1111Service(options, context);
  await service.start();
  const words = await argumentsOf(service.pid);
  expect(words.slice(-6)).toEqual(['--device-id', '0', '--xformers', '--no-half', '--precision', 'full']);
  expect(words).not.toContain('--nowebui');
  const environment = await environmentOf(service.pid);
  expect(environment).toContain('CUDA_VISIBLE_DEVICES=GPU-1b2c');
  expect(environment.filter((each) => each.startsWith('COMMANDLINE_ARGS'))).toEqual([]);
  expect(service.endpoint).toMatchObject({ kind: 'a1111', gpu: 1, instance: 'a1111_gpu1' });
});

test('ready is the API, not the port and not the page', async () => {
  const started = performance.now();
  await using engine = await startEngine({ ui: true, sim: { apiMs: 400 } });
  expect(performance.now() - started).toBeGreaterThan(400);
  expect((await engine.client.progress()).isBusy).toBe(false);
});

test('it proves by use that it works, which needs no checkpoint', async () => {
  await using engine = await startEngine({ sim: { checkpoints: [] } });
  const { service } = engine;
  await service.verify();
  expect(service.status).toMatchObject({ state: 'running', health: 'ready' });
  await engine.faults({ garbageJson: { paths: ['/sdapi/v1/extra-single-image'] } });
  await expect(service.verify()).rejects.toMatchObject({
    code: 'CORE_VERIFICATION_FAILED',
    message: expect.stringMatching(/^a1111_gpu0 was tried out and did not do its work: /),
  });
  expect(service.status).toMatchObject({ state: 'running', health: 'degraded' });
});

test('tcmalloc is preloaded where it is named, before what is preloaded already', async () => {
  const libc = process.report.getReport() as unknown as { sharedObjects: string[] };
  const library = libc.sharedObjects.find((path) => path.includes('libm')) ?? '';
  await using engine = await startEngine({ tcmalloc: library, env: { LD_PRELOAD: library } });
  expect(await environmentOf(engine.service.pid)).toContain(`LD_PRELOAD=${library} ${library}`);
  await expect(startEngine({ tcmalloc: '/no/such/library.so' })).rejects.toMatchObject({
    code: 'A1111_TCMALLOC_MISSING',
  });
});

test('instances share models, extensions and settings, and keep what is set in one of them', async () => {
  using first = testContext({ kind: 'a1111', gpu: cpuGpu(0) });
  const { layout } = first;
  using second = testContext({ kind: 'a1111', gpu: cpuGpu(1), root: layout.root });
  await mkdir(join(layout.shared, 'a1111'), { recursive: true });
  await mkdir(join(layout.shared, 'models', 'checkpoints'), { recursive: true });
  await writeFile(join(layout.shared, 'models', 'checkpoints', 'ours.safetensors'), '');
  const sharedSettings = join(layout.shared, 'a1111', 'config.json');
  await writeFile(sharedSettings, '{ "eta_noise_seed_delta": 31337 }');
  const settings = { sd_model_checkpoint: 'ours.safetensors', CLIP_stop_at_last_layers: 2 };
  const config = a1111Schema.parse({ command: simulator, basePort: port(2), settings });
  await using one = a1111.create(config, first);
  await using other = a1111.create(config, second);
  await Promise.all([one.start(), other.start()]);
  await using client = new A1111Client(one.endpoint ?? '');
  expect(await client.options()).toMatchObject({
    eta_noise_seed_delta: 31337,
    CLIP_stop_at_last_layers: 2,
    outdir_txt2img_samples: join(layout.instance('a1111_gpu0'), 'output', 'txt2img-images'),
  });
  const loaded = await loadModel(
    [one, other].flatMap(({ endpoint }) => endpoint ?? []),
    'ours',
  );
  expect(loaded.map(({ checkpoint }) => checkpoint?.name)).toEqual(['ours', 'ours']);
  const [failed] = await loadModel([{ url: `http://127.0.0.1:${port(7)}` }], 'ours');
  expect(failed?.error?.code).toBe('A1111_UNREACHABLE');
  const own = join(layout.instance('a1111_gpu1'), 'extensions');
  expect(join(own, '..', await readlink(own))).toBe(join(layout.shared, 'a1111', 'extensions'));
  expect((await stat(join(layout.shared, 'sd_models', 'Lora'))).ino).toBe(
    (await stat(join(layout.shared, 'models', 'loras'))).ino,
  );
  // One is set by a client, another one by the people of the machine: both hold after the next start.
  await client.setOptions({ CLIP_stop_at_last_layers: 1 });
  await writeFile(sharedSettings, '{ "eta_noise_seed_delta": 1 }');
  await one.restart();
  expect(await client.options()).toMatchObject({ CLIP_stop_at_last_layers: 1, eta_noise_seed_delta: 1 });
});

test('settings that are broken are begun anew and kept; broken shared ones end the start', async () => {
  const warnings: string[] = [];
  const log = { ...silentLogger, warn: (message: string) => void warnings.push(message) };
  using context = testContext({ kind: 'a1111', gpu: cpuGpu(0), log });
  const { layout } = context;
  const file = join(layout.instance('a1111_gpu0'), 'config.json');
  await mkdir(layout.instance('a1111_gpu0'), { recursive: true });
  await writeFile(file, '{ "half": ');
  await using service = new A1111Service({ command: simulator, port: port(4) }, context);
  await service.start();
  expect(warnings).toEqual([expect.stringContaining('config.json cannot be used: it is no JSON')]);
  expect(await readFile(`${file}.invalid`, 'utf8')).toBe('{ "half": ');
  expect(JSON.parse(await readFile(file, 'utf8'))).toMatchObject({ outdir_save: expect.any(String) });
  await service.stop();
  await writeFile(join(layout.shared, 'a1111', 'config.json'), '[]');
  await expect(service.start()).rejects.toMatchObject({ code: 'A1111_SETTINGS_INVALID' });
});

test('checkpoints get further names, never over a file; a folder of one’s own stays', async () => {
  using folder = temporaryFolder();
  const warnings: string[] = [];
  const log = { ...silentLogger, warn: (message: string) => void warnings.push(message) };
  using context = testContext({ kind: 'a1111', root: folder.path, log });
  const { layout, env, clock, machine } = context;
  const checkpoints = join(layout.shared, 'models', 'checkpoints');
  const own = join(layout.shared, 'sd_models', 'Stable-diffusion');
  await mkdir(checkpoints, { recursive: true });
  await mkdir(own, { recursive: true });
  await mkdir(join(layout.instance('a1111_gpu0'), 'extensions'), { recursive: true });
  await writeFile(join(checkpoints, 'SD15.safetensors'), 'weights');
  await writeFile(join(own, 'mine.safetensors'), 'mine');
  await symlink('/nowhere', join(own, 'dangling.safetensors'));
  const aliases = {
    'v1-5.safetensors': 'SD15.safetensors',
    'mine.safetensors': 'SD15.safetensors',
    'dangling.safetensors': 'SD15.safetensors',
    'lost.safetensors': 'nothing.safetensors',
  };
  const config = a1111Schema.parse({ command: simulator, basePort: port(5), aliases });
  const signal = new AbortController().signal;
  for (const _ of [1, 2]) await a1111.install?.({ layout, env, clock, machine, log, signal }, config);
  expect(await readFile(join(own, 'v1-5.safetensors'), 'utf8')).toBe('weights');
  expect(await readFile(join(own, 'mine.safetensors'), 'utf8')).toBe('mine');
  expect(await readlink(join(own, 'dangling.safetensors'))).toBe('/nowhere');
  expect(warnings.slice(0, 3)).toEqual([
    expect.stringContaining('mine.safetensors is there already'),
    expect.stringContaining('dangling.safetensors is there already'),
    expect.stringContaining('no checkpoint nothing.safetensors'),
  ]);
  using instance = testContext({ kind: 'a1111', gpu: cpuGpu(0), root: folder.path, log });
  await using service = a1111.create(config, instance);
  await service.start();
  expect(warnings.at(-1)).toContain('this instance does not share it');
});

test('a checkout of one’s own is run by its venv and nothing is written into it', async () => {
  using folder = temporaryFolder();
  const dir = join(folder.path, 'forge');
  await mkdir(join(dir, 'venv', 'bin'), { recursive: true });
  await mkdir(join(dir, 'modules_forge'));
  using context = testContext({
    kind: 'a1111',
    gpu: cpuGpu(0),
    env: { ...process.env, MGPU_SIM_A1111: '{"flavour":"forge"}' },
  });
  const { layout, env, clock, machine, log } = context;
  const install = (config: object) =>
    a1111.install?.(
      { layout, env, clock, machine, log, signal: new AbortController().signal },
      a1111Schema.parse(config),
    );
  await expect(install({ dir })).rejects.toMatchObject({
    code: 'A1111_DIR_MISSING',
    message: `there is no Automatic1111 in ${dir}: launch.py is not in it`,
  });
  await writeFile(join(dir, 'launch.py'), '');
  await expect(install({ dir })).rejects.toMatchObject({ code: 'A1111_PYTHON_MISSING' });
  const python = `#!/bin/sh\nexec ${simulator.map((word) => `'${word}'`).join(' ')} "$@"\n`;
  await writeFile(join(dir, 'venv', 'bin', 'python'), python, { mode: 0o755 });
  await install({ dir });
  await using service = new A1111Service({ dir, port: port(6) }, context);
  await service.start();
  const words = await argumentsOf(service.pid);
  expect(words[0]).toBe(join(dir, 'launch.py'));
  expect(words).toContain('--always-cpu');
  expect(await environmentOf(service.pid)).toContain('PYTHONDONTWRITEBYTECODE=1');
  const findings = await a1111.doctor?.(a1111Schema.parse({ dir }), { layout, env });
  expect(findings).toMatchObject([{ level: 'ok', message: expect.stringContaining(dir) }]);
});

test('before it is installed the doctor says so', async () => {
  using folder = temporaryFolder();
  const findings = await a1111.doctor?.(a1111Schema.parse({}), { layout: layoutOf(folder.path), env: process.env });
  expect(findings).toMatchObject([{ level: 'warning', message: expect.stringContaining('not installed yet') }]);
});

test('another one that answers in its place ends the start', async () => {
  await using stranger = await startEngine();
  const ask = (dataDir: string) =>
    ownProcessProbe({ instance: 'a1111_gpu7', url: stranger.url, dataDir }).attempt({
      signal: new AbortController().signal,
    });
  expect(await ask('/somewhere/else')).toMatchObject({
    outcome: 'fatal',
    error: { code: 'A1111_FOREIGN_PROCESS', message: expect.stringContaining(`process ${stranger.service.pid}`) },
  });
  expect(await ask(stranger.context.layout.instance('a1111_gpu0'))).toEqual({ outcome: 'ok' });
});

test('what dies at its start is told with its last words', async () => {
  const message = 'RuntimeError: Torch is not able to use GPU';
  await expect(startEngine({ sim: { faults: { dieAtStart: { message } } } })).rejects.toMatchObject({
    code: 'CORE_PROCESS_EXITED',
    message: expect.stringContaining(message),
  });
});

test('it ends in order, and alone it takes its folder along', async () => {
  const service = new A1111Service({ gpu: 3, cpu: true, command: simulator, port: port(7) });
  await service.start();
  const { outputDir = '' } = service.endpoint.local ?? {};
  expect((await stat(outputDir)).isDirectory()).toBe(true);
  await service.stop();
  expect(service.status).toMatchObject({ state: 'stopped', lastExit: { code: 0, signal: null } });
  await expect(stat(outputDir)).rejects.toMatchObject({ code: 'ENOENT' });
});

test('its variables become configuration', () => {
  const read = (name: string, text: string) => {
    const { key, parse } = a1111.env?.[name] ?? { key: '' };
    return [key, parse ? parse(text) : text];
  };
  expect(read('A1111_ARGS', '--medvram --ckpt "a b"')).toEqual(['args', ['--medvram', '--ckpt', 'a b']]);
  expect(read('WORKER_BASE_A1111_PORT', '3101')).toEqual(['basePort', 3101]);
  expect(read('A1111_COMMIT_HASH', 'abc')).toEqual(['setup.ref', 'abc']);
  const { enabled, basePort } = a1111Schema.parse({});
  expect([enabled, basePort]).toEqual([false, 3001]);
});
