import { existsSync } from 'node:fs';
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { cpuGpu, type Gpu, planMachine } from '@mgpu/core';
import { leasePorts, serviceConformance, temporaryFolder, testContext } from '@mgpu/core/testing';
import { describe, expect, test } from 'vitest';
import { addressFromText, urlOf } from '../src/address.ts';
import { ollamaSchema } from '../src/config.ts';
import { diagnose, vendorFindings } from '../src/diagnose.ts';
import { ollama } from '../src/ollama.ts';
import { OllamaService } from '../src/ollama-service.ts';
import { settingsVariables } from '../src/settings.ts';
import { pulled, simulator, startServer } from './support.ts';

const ports = await leasePorts(8);
const port = (n: number) => ports.first + n;

const nvidia = (index: number): Gpu => ({ index, mode: 'nvidia', uuid: `GPU-${index}`, name: 'A GPU', memoryMiB: 1 });
const environmentOf = async (pid: number | undefined) =>
  Object.fromEntries(
    (await readFile(`/proc/${pid}/environ`, 'utf8'))
      .split('\0')
      .map((line) => line.split(/=(.*)/s) as [string, string]),
  );

describe('one for the machine', () => {
  serviceConformance({
    definition: ollama,
    config: { command: simulator, listen: { port: port(0) }, models: ['llama3'] },
    context: () => testContext({ kind: 'ollama' }),
    test,
  });
});

describe('one per GPU', () => {
  serviceConformance({
    definition: ollama,
    config: { command: simulator, perGpu: true, listen: { port: port(1) } },
    context: () => testContext({ kind: 'ollama', gpu: cpuGpu(1) }),
    test,
  });
});

test('it proves by use that it reads its models', async () => {
  await using server = await startServer({ models: ['llama3'] });
  const { service } = server;
  await pulled(server.client, 'llama3');
  await service.verify();
  expect(service.status).toMatchObject({ state: 'running', health: 'ready' });
  await server.faults({ garbageJson: { paths: ['/api/show'] } });
  await expect(service.verify()).rejects.toMatchObject({ code: 'CORE_VERIFICATION_FAILED' });
  expect(service.status).toMatchObject({ state: 'running', health: 'degraded' });
});

test('all it is told reaches the process, and what it writes lies below the root', async () => {
  await using server = await startServer({
    gpus: [nvidia(0), nvidia(1), nvidia(2)],
    select: [0, 2],
    settings: { keepAlive: '1h', numParallel: 4, flashAttention: true, noCloud: false, debug: 2 },
  });
  const { service, context } = server;
  const { root, shared, state } = context.layout;
  expect(await environmentOf(service.pid)).toMatchObject({
    OLLAMA_HOST: `127.0.0.1:${service.port}`,
    OLLAMA_MODELS: join(shared, 'ollama'),
    OLLAMA_NOPRUNE: '1',
    OLLAMA_KEEP_ALIVE: '1h',
    OLLAMA_NUM_PARALLEL: '4',
    OLLAMA_FLASH_ATTENTION: '1',
    OLLAMA_NO_CLOUD: '0',
    OLLAMA_DEBUG: '2',
    CUDA_DEVICE_ORDER: 'PCI_BUS_ID',
    CUDA_VISIBLE_DEVICES: 'GPU-0,GPU-2',
    HOME: join(state, 'ollama'),
  });
  await pulled(server.client, 'llama3');
  expect(existsSync(join(shared, 'ollama/manifests/registry.ollama.ai/library/llama3/latest'))).toBe(true);
  expect((await stat(join(state, 'ollama'))).mode & 0o777).toBe(0o700);
  expect(await readFile(join(root, 'ollama/logs/output.log'), 'utf8')).toContain('Listening on');
});

test.each([
  ['on simulated or no GPUs', { gpus: [cpuGpu(0)] }, '-1'],
  ['when it is to run on the CPU', { gpus: [nvidia(0)], cpu: true }, '-1'],
])('no GPU is shown to it %s', async (_, options, shown) => {
  await using server = await startServer(options);
  expect(await environmentOf(server.service.pid)).toMatchObject({ CUDA_VISIBLE_DEVICES: shown });
});

test('one for each GPU has a port and a GPU of its own, and the models are shared', () => {
  const config = ollamaSchema.parse({ enabled: true, perGpu: true, gpus: [0, 2] });
  const machine = { machine: {}, logging: {}, plugins: [], services: { ollama: config } } as never;
  const { instances, ports: planned } = planMachine([ollama], machine, { gpus: [0, 1, 2].map(nvidia) });
  expect(instances.map(({ id }) => id)).toEqual(['ollama_gpu0', 'ollama_gpu2']);
  expect(planned).toEqual([
    { instance: 'ollama_gpu0', port: 11_434 },
    { instance: 'ollama_gpu2', port: 11_436 },
  ]);
  using context = testContext({ kind: 'ollama', gpu: nvidia(2) });
  const service = ollama.create(config, context) as OllamaService;
  expect(service.endpoint).toMatchObject({ instance: 'ollama_gpu2', gpu: 2, url: new URL('http://127.0.0.1:11436') });
  expect(service.modelsDir).toBe(join(context.layout.shared, 'ollama'));
});

test('one for the machine serves all GPUs', () => {
  const config = ollamaSchema.parse({ enabled: true, defaultModel: 'llama3' });
  const machine = { machine: {}, logging: {}, plugins: [], services: { ollama: config } } as never;
  const { instances, ports: planned } = planMachine([ollama], machine, { gpus: [0, 1].map(nvidia) });
  expect(instances.map(({ id }) => id)).toEqual(['ollama']);
  expect(planned).toEqual([{ instance: 'ollama', port: 11_434 }]);
  using context = testContext({ kind: 'ollama' });
  const { endpoint } = ollama.create(config, context);
  expect(endpoint).toMatchObject({ instance: 'ollama', local: { defaultModel: 'llama3' } });
  expect(endpoint).not.toHaveProperty('gpu');
});

test('a GPU that the machine does not have is refused', async () => {
  const started = startServer({ gpus: [nvidia(0)], select: [0, 7] });
  await expect(started).rejects.toMatchObject({ code: 'CORE_GPU_OUT_OF_RANGE', details: { gpus: [7] } });
});

test('it is ready when it answers, long after its port is open', async () => {
  const begun = performance.now();
  await using server = await startServer({ sim: { startMs: 600 } });
  expect(performance.now() - begun).toBeGreaterThan(600);
  expect(server.service.status).toMatchObject({ state: 'running', health: 'ready' });
});

test('what answers on its port and is no Ollama is not taken for one', async () => {
  using folder = temporaryFolder();
  const program = join(folder.path, 'other');
  const script = `require('node:http').createServer((_, r) => r.end('{}')).listen(${port(3)}, '127.0.0.1')`;
  await writeFile(program, `#!/bin/sh\nexec ${process.execPath} -e "${script}"\n`, { mode: 0o755 });
  const started = startServer({ command: [program], port: port(3), startDeadlineMs: 1_500 });
  await expect(started).rejects.toMatchObject({
    code: 'CORE_START_TIMEOUT',
    message: expect.stringContaining('the answer is not that of an Ollama'),
  });
});

test('a port that somebody has is named before anything starts', async () => {
  const holder = createServer().listen(port(4), '127.0.0.1');
  try {
    await expect(startServer({ port: port(4) })).rejects.toMatchObject({ code: 'CORE_PORT_IN_USE' });
  } finally {
    holder.close();
  }
});

test('it takes its models out of memory when it is asked to', async () => {
  await using server = await startServer();
  const { client, service } = server;
  await pulled(client, 'llama3', 'qwen3');
  await client.load('llama3');
  await client.load('qwen3');
  expect(await client.ps()).toHaveLength(2);
  expect(await service.relieve()).toBe(true);
  expect(await client.ps()).toEqual([]);
});

test('it stops with exit code 0 in the middle of an answer, and by force when it does not listen', async () => {
  await using server = await startServer({ sim: { tokenMs: 50, tokens: 1_000 }, graceMs: 300 });
  const { client, service } = server;
  await pulled(client, 'llama3');
  const parts = client.generate({ model: 'llama3', prompt: 'go on' });
  await parts.next();
  const rest = expect(parts.next().then(() => parts.next())).rejects.toMatchObject({ code: 'OLLAMA_UNREACHABLE' });
  await service.stop();
  await rest;
  expect(service.status.lastExit).toMatchObject({ code: 0 });
  await service.start();
  await server.faults({ ignoreTerm: true });
  await service.stop();
  expect(service.status.lastExit).toMatchObject({ signal: 'SIGKILL' });
});

test('alone it needs nothing but a place, and not even that', async () => {
  await using service = new OllamaService({ command: simulator, listen: { port: port(5) }, gpu: 3, cpu: true });
  await service.start();
  expect(service.status).toMatchObject({ id: 'ollama_gpu3', state: 'running', port: port(5) });
});

describe('what the environment says', () => {
  test.each([
    ['127.0.0.1', { host: '127.0.0.1' }],
    ['0.0.0.0:11500', { host: '0.0.0.0', port: 11_500 }],
    ['http://gpu-box:11434/', { host: 'gpu-box', port: 11_434 }],
    [':8000', { port: 8_000 }],
    ['[::1]:8000', { host: '::1', port: 8_000 }],
    ['::1', { host: '::1' }],
    ['no host!', { host: 'no host!' }],
  ])('OLLAMA_HOST=%s', (text, address) => {
    expect(addressFromText(text)).toEqual(address);
  });

  test.each([
    ['OLLAMA_KEEP_ALIVE', '5m', '5m'],
    ['OLLAMA_KEEP_ALIVE', '-1', -1],
    ['OLLAMA_NUM_PARALLEL', '4', 4],
    ['OLLAMA_FLASH_ATTENTION', '1', true],
    ['OLLAMA_DEBUG', '2', 2],
    ['OLLAMA_DEBUG', 'true', true],
    ['OLLAMA_KV_CACHE_TYPE', 'q8_0', 'q8_0'],
    ['OLLAMA_MAX_QUEUE', 'many', 'many'],
  ])('%s=%s', (name, text, value) => {
    expect(settingsVariables[name]?.parse?.(text)).toEqual(value);
  });

  test('who listens everywhere is reached on the loopback interface', () => {
    expect(urlOf('0.0.0.0', 11_434).href).toBe('http://127.0.0.1:11434/');
    expect(urlOf('::', 11_434).href).toBe('http://[::1]:11434/');
  });
});

describe('what doctor says', () => {
  const look = async (config: unknown, env: Record<string, string> = { PATH: '' }) => {
    using context = testContext({ kind: 'ollama', env });
    return diagnose(ollamaSchema.parse(config), context);
  };

  test('of a server that is there, its version', async () => {
    expect(await look({ command: simulator })).toEqual([
      { level: 'ok', message: `ollama: ${simulator.join(' ')} 0.32.7` },
    ]);
  });

  test('of none, how to come by one', async () => {
    expect(await look({})).toEqual([
      {
        level: 'error',
        message: expect.stringContaining('no Ollama'),
        hint: expect.stringContaining('download.enabled'),
      },
    ]);
    const program = '/nowhere/ollama';
    expect(await look({ program })).toEqual([
      { level: 'error', message: expect.stringContaining(program), hint: expect.any(String) },
    ]);
  });

  test('of one that may be downloaded, from where', async () => {
    const download = { enabled: true, sha256: { x64: 'a'.repeat(64), arm64: 'b'.repeat(64) } };
    expect(await look({ download })).toEqual([
      {
        level: 'ok',
        message: expect.stringMatching(/version 0\.32\.7 comes from https:\/\/github\.com\/ollama\/ollama\//),
      },
    ]);
    const [unknown] = await look({ download: { enabled: true, version: '9.9.9' } });
    expect(unknown).toMatchObject({
      level: 'error',
      message: expect.stringContaining('no checksum is known of Ollama 9.9.9'),
    });
  });

  test('of a server that is open to everybody', async () => {
    const [, open] = await look({ command: simulator, listen: { host: '0.0.0.0' } });
    expect(open).toMatchObject({ level: 'warning', message: expect.stringContaining('without any password') });
  });

  test("of the service of Ollama's own installer on the same port", async () => {
    using folder = temporaryFolder();
    const unit = join(folder.path, 'ollama.service');
    const { listen } = ollamaSchema.parse({});
    expect(vendorFindings({ listen }, unit)).toEqual([]);
    await mkdir(folder.path, { recursive: true });
    await writeFile(unit, '');
    expect(vendorFindings({ listen }, unit)).toMatchObject([
      { level: 'warning', hint: expect.stringContaining('systemctl') },
    ]);
    expect(vendorFindings({ listen: { ...listen, port: 11_500 } }, unit)).toEqual([]);
  });
});
