import { join } from 'node:path';
import { type Gpu, loggerTo, mockGpus } from '@mgpu/core';
import { serviceConformance, testContext } from '@mgpu/core/testing';
import { expect, onTestFinished, test } from 'vitest';
import { ModelsService, models, StaticModelsService, staticModels } from '../src/index.ts';
import { bytes, isThere, read, sendFile, serve, temporaryFolder, write } from './support.ts';

const content = bytes(10_000);
const files = () => serve((request, response) => sendFile(request, response, content));

serviceConformance({
  definition: models,
  config: {},
  context: async () => {
    const server = await files();
    const context = testContext({ kind: 'models' });
    write(join(context.layout.shared, 'models.yaml'), `[{url: "${server.url}/a.pt", path: loras/a.pt}]`);
    return context;
  },
  test,
});

serviceConformance({
  definition: staticModels,
  config: {},
  context: () => {
    const context = testContext({ kind: 'static-models' });
    write(join(context.layout.shared, 'sd_models/a.pt'), 'a');
    write(
      join(context.layout.shared, 'static-models.json'),
      '{"symlinks": [{"source": "a.pt", "target": "loras/a.pt"}]}',
    );
    return context;
  },
  test,
});

function contextFor(kind: string, gpus: readonly Gpu[] = []) {
  const lines: string[] = [];
  const context = testContext({
    kind,
    gpus,
    log: loggerTo((level, message) => void lines.push(`${level}: ${message}`)),
  });
  onTestFinished(() => context[Symbol.dispose]());
  return { context, lines, at: (path: string) => join(context.layout.shared, path) };
}

test('without anything to bring the folders are made, and it is completed', async () => {
  const { context, lines, at } = contextFor('models');
  const service = models.create(models.schema.parse({}), context) as ModelsService;
  await service.start();
  expect(service.status.state).toBe('completed');
  expect(service.report).toBeUndefined();
  expect(isThere(at('models/latent_upscale_models'))).toBe(true);
  expect(lines).toEqual([expect.stringContaining('there is no list at')]);
});

test.each([
  ['nothing is downloaded unless that is asked for', {}, [], ['download', 'sync.enabled']],
  ['what is asked for is downloaded', { download: true }, ['/a.pt'], ['sync.enabled']],
  ['in test mode what is for tests is downloaded', { testMode: true }, ['/a.pt'], []],
])('on simulated GPUs %s', async (_, config, asked, left) => {
  const server = await files();
  const { context, lines, at } = contextFor('models', mockGpus(2));
  write(at('models.yaml'), `[{url: "${server.url}/a.pt", path: loras/a.pt, test: true}]`);
  const bucket = { provider: 'aws', container: 'models' };
  const accounts = { s3: { endpoint: server.url } };
  const service = models.create(models.schema.parse({ sync: bucket, accounts, reserveGiB: 0, ...config }), context);
  await service.start();
  expect(service.status).toMatchObject({ state: 'completed', health: 'unknown' }); // not degraded
  expect(server.requests.map(({ path }) => path)).toEqual(asked);
  expect(isThere(at('models/loras'))).toBe(true);
  const [told = ''] = lines.filter((line) => line.includes('left alone for simulated GPUs'));
  expect([...told.matchAll(/\((.+?)\)/g)].map(([, key]) => key)).toEqual(left);
});

test('models that fail are told and are no failure', async () => {
  const server = await files();
  const { context, lines, at } = contextFor('models');
  write(at('models.yaml'), `[{url: "${server.url}/a.pt", path: loras/a.pt}, {url: "ftp://x/b.pt", path: loras/b.pt}]`);
  const service = models.create(models.schema.parse({ reserveGiB: 0 }), context) as ModelsService;
  await service.start();
  expect(service.status.state).toBe('completed');
  expect(service.report).toMatchObject({ outcome: 'partly failed' });
  expect(lines).toContainEqual(
    expect.stringMatching(/^warn: models: 2 models: 1 pulled, 1 failed \(models\/loras\/b\.pt\)$/),
  );
  expect(isThere(at('models/loras/a.pt'))).toBe(true);
});

test('a list that is none fails the service, and doctor says so', async () => {
  const { context, at } = contextFor('models');
  write(at('models.yaml'), 'hello');
  const config = models.schema.parse({});
  await expect(models.create(config, context).start()).rejects.toMatchObject({ code: 'MODELS_LIST_INVALID' });
  expect(await models.doctor?.(config, context)).toMatchObject([{ level: 'error' }]);
  write(at('models.yaml'), '[{url: "https://x/a.pt", colour: red}]');
  expect(await models.doctor?.(config, context)).toMatchObject([
    { level: 'warning', message: expect.stringContaining('colour') },
  ]);
});

test('in the background it lets the boot go on, and is completed when all is there', async () => {
  const { promise: goOn, resolve } = Promise.withResolvers<void>();
  const server = await serve(async (request, response) => {
    await goOn;
    sendFile(request, response, content);
  });
  const { context, at } = contextFor('models');
  write(at('models.yaml'), `[{url: "${server.url}/a.pt", path: loras/a.pt}]`);
  const service = models.create(models.schema.parse({ background: true, reserveGiB: 0 }), context);
  await service.start();
  expect(service.status.state).toBe('running');
  resolve();
  await expect.poll(() => service.status.state).toBe('completed');
  expect(read(at('models/loras/a.pt')).equals(content)).toBe(true);
});

test('a stop in the middle of a download ends it', async () => {
  const server = await serve((_, response) => {
    response.writeHead(200, { 'content-length': 10 });
    response.write('x');
  });
  const { context, at } = contextFor('models');
  write(at('models.yaml'), `[{url: "${server.url}/a.pt", path: loras/a.pt}]`);
  const service = models.create(models.schema.parse({ reserveGiB: 0 }), context);
  const start = service.start().catch((error) => error.code);
  await expect.poll(() => server.requests.length).toBe(1);
  await service.stop();
  expect(await start).toBe('CORE_START_ABORTED');
  expect(isThere(at('models/loras/a.pt'))).toBe(false);
});

test('a copy under another name is made on demand, once', async () => {
  const root = temporaryFolder();
  const source = write(join(root, 'x/one.safetensors'), 'one');
  const service = new ModelsService({ root, testCopy: { enabled: true, source } });
  await service.start();
  const copy = join(root, 'shared/models/checkpoints/onex.safetensors');
  expect(String(read(copy))).toBe('one');
  write(copy, 'changed');
  await service.restart();
  expect(String(read(copy))).toBe('changed');
  const nothing = new ModelsService({ root, testCopy: { enabled: true, source: `${source}.gone` } });
  await expect(nothing.start()).rejects.toMatchObject({ code: 'MODELS_ENTRY_INVALID' });
});

test('links that cannot be made are told and are no failure', async () => {
  const { context, lines, at } = contextFor('static-models');
  write(at('static-models.json'), '{"symlinks": [{"source": "gone.pt", "target": "loras/a.pt"}]}');
  const service = new StaticModelsService({}, context);
  await service.start();
  expect(service.status.state).toBe('completed');
  expect(service.links).toMatchObject([{ status: 'failed', error: { code: 'MODELS_LINK_SOURCE' } }]);
  expect(lines).toContainEqual('info: static models: 1 link: 0 made, 0 there, 1 failed');
});
