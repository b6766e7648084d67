import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { cpuGpu, loggerTo, type ServiceStatus } from '@mgpu/core';
import { leasePorts, record, temporaryFolder, testContext } from '@mgpu/core/testing';
import { expect, test } from 'vitest';
import { ollamaSchema } from '../src/config.ts';
import { type OllamaService, ollama, type PullReport } from '../src/index.ts';
import { type OwnServer, simulator, startServer } from './support.ts';

const slow = { layerBytes: 2_000_000, pullBytesPerSecond: 4_000_000 };
const names = async ({ client }: OwnServer) => (await client.list()).map(({ name }) => name).toSorted();
const reports = ({ service }: { service: OllamaService }) => record<PullReport>(service, 'pull');
const isThere = (model: string) => (report: PullReport) => report.model === model && report.state === 'there';
const half = ({ state, completed, total }: PullReport) =>
  state === 'pulling' && completed > 0.2 * total && completed < 0.9 * total;
const partials = (dir: string) => readdirSync(join(dir, 'blobs')).filter((name) => name.endsWith('-partial'));

test('what is missing is pulled while it is ready already, and its status says how far it is', async () => {
  const lines: string[] = [];
  const log = loggerTo((_, message) => void lines.push(message));
  await using server = await startServer({ sim: slow, models: ['llama3', 'qwen3:8b'], defaultModel: 'phi4', log });
  expect(server.service.status).toMatchObject({ state: 'running', health: 'ready' });
  expect(await names(server)).toEqual([]);
  using statuses = record<ServiceStatus>(server.service, 'status');
  using pulls = reports(server);
  await pulls.until(isThere('qwen3:8b'));
  expect(await names(server)).toEqual(['llama3:latest', 'phi4:latest', 'qwen3:8b']);
  const pulling = statuses.events.flatMap(({ reason }) => reason?.message ?? []);
  expect(pulling).toEqual(expect.arrayContaining([expect.stringMatching(/^pulling llama3: \d+ %$/)]));
  expect(statuses.events.every(({ health }) => health === 'ready')).toBe(true);
  expect(lines).toEqual(expect.arrayContaining([expect.stringMatching(/llama3 \d+ % of 2\.0 MB, .*\/s, \d+ s left$/)]));
  await expect.poll(() => server.service.status.reason).toBeUndefined();
});

test('a second start pulls nothing again', async () => {
  using root = temporaryFolder();
  for (const expected of ['pulling', 'there'] as const) {
    await using server = await startServer({ root: root.path, models: ['llama3'] });
    using pulls = reports(server);
    await pulls.until(isThere('llama3'));
    expect(pulls.events[0]?.state).toBe(expected);
  }
});

test('a pull goes on where it was after a restart, whether it was stopped or killed', async () => {
  await using server = await startServer({ sim: slow, models: ['llama3'] });
  const { service } = server;
  for (const end of ['stop', 'kill']) {
    using pulls = reports(server);
    await pulls.until(half);
    if (end === 'stop') await service.stop();
    else {
      using statuses = record<ServiceStatus>(service, 'status');
      process.kill(service.pid ?? 0, 'SIGKILL');
      await statuses.until(({ state }) => state === 'failed');
    }
    const [partial = ''] = partials(service.modelsDir);
    const { size } = statSync(join(service.modelsDir, 'blobs', partial));
    expect(size).toBeGreaterThan(0);
    using next = reports(server);
    await service.start();
    const first = await next.until(({ completed }) => completed > 0);
    expect(first.completed).toBeGreaterThanOrEqual(size);
  }
  using pulls = reports(server);
  await pulls.until(isThere('llama3'));
  expect(partials(service.modelsDir)).toEqual([]);
});

test('a name that nobody knows makes it degraded, and the others come all the same', async () => {
  await using server = await startServer({ sim: { unknown: ['typo'] }, models: ['typo', 'llama3'] });
  await expect.poll(() => names(server)).toEqual(['llama3:latest']);
  await expect
    .poll(() => server.service.status)
    .toMatchObject({
      health: 'degraded',
      reason: { message: expect.stringContaining('the registry has no model typo') },
    });
});

test('a network that fails is told, and tried again', async () => {
  const faults = { breakPull: { atBytes: 100_000, message: 'dial tcp: lookup registry: no such host', times: 1 } };
  await using server = await startServer({ sim: { faults }, models: ['llama3'] });
  using pulls = reports(server);
  const failed = await pulls.until(({ state }) => state === 'failed');
  expect(failed.problem).toBe('model llama3 could not be pulled: dial tcp: lookup registry: no such host');
  await expect.poll(() => server.service.status.health).toBe('degraded');
  await pulls.until(isThere('llama3'));
  await expect.poll(() => server.service.status).toMatchObject({ health: 'ready' });
});

test('two servers that share their models do not pull at the same time', async () => {
  using root = temporaryFolder();
  using ports = await leasePorts(2);
  const env = { ...process.env, MGPU_SIM_OLLAMA: JSON.stringify(slow) };
  const config = ollamaSchema.parse({
    perGpu: true,
    command: simulator,
    listen: { port: ports.first },
    models: ['llama3'],
  });
  const services = [0, 1].map((index) => {
    const context = testContext({ kind: 'ollama', gpu: cpuGpu(index), root: root.path, env });
    return ollama.create(config, context) as OllamaService;
  });
  const recorders = services.map((service) => reports({ service }));
  try {
    await Promise.all(services.map((service) => service.start()));
    await Promise.all(recorders.map((each) => each.until(isThere('llama3'))));
    const pulling = recorders.map(({ events }) => events.some(({ state }) => state === 'pulling'));
    expect(pulling.toSorted()).toEqual([false, true]);
  } finally {
    await Promise.all(services.map((service) => service.stop()));
  }
});
