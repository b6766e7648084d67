import { composeConfigSchema, loadConfig, planMachine } from '@mgpu/core';
import { silentLogger } from '@mgpu/core/jobs';
import { leasePorts, serviceConformance, temporaryFolder, testContext, testIo } from '@mgpu/core/testing';
import { afterAll, expect, onTestFinished, test } from 'vitest';
import { ComfyUIConnector } from '../src/connector/comfyui-connector.ts';
import { RemoteComfyUIService, remoteComfyUI } from '../src/index.ts';
import { between } from './between.ts';
import { inverted, invertGraph, isPlain, job, nextColour, startEngine } from './support.ts';

const engine = await startEngine();
afterAll(() => engine[Symbol.asyncDispose]());

const someConfig = remoteComfyUI.schema.parse({ host: '127.0.0.1', port: 9, checkIntervalMs: 50 });

serviceConformance({
  definition: remoteComfyUI,
  config: { host: '127.0.0.1', port: engine.service.port },
  context: () => testContext({ kind: 'comfyui-remote' }),
  test,
});

test('one behind a proxy with a password is fed over the network: pictures come back, no folder is looked into', async () => {
  await using proxy = await between(engine.service.endpoint.url);
  const wanted = `Basic ${btoa('me:a b')}`;
  proxy.judge = ({ authorization }) => (authorization === wanted ? 'pass' : { status: 401, body: {} });
  const config = { ...someConfig, port: Number(proxy.url.port), username: 'me', password: 'a b' };
  using context = testContext({ kind: 'comfyui-remote' });
  await using service = new RemoteComfyUIService(config, context);
  await service.start();
  expect(service.status).toMatchObject({
    state: 'running',
    health: 'ready',
    endpoint: expect.not.stringContaining('a%20b'),
  });

  const connector = new ComfyUIConnector({ endpoint: service.endpoint, log: silentLogger });
  onTestFinished(() => connector.close());
  await connector.ready(new AbortController().signal);
  const io = testIo();
  const color = nextColour();
  await connector.run(job({ prompt: invertGraph({ color }) }), io);
  expect(io.fromDisk).toEqual([false]);
  expect(isPlain(io.stored[0]?.content, inverted(color))).toBe(true);
  expect(proxy.upgrades).toEqual([wanted]);

  const stranger = new RemoteComfyUIService({ ...config, password: 'wrong' }, context);
  await stranger.start();
  expect(await stranger.health()).toMatchObject({ health: 'notReady', reason: expect.stringContaining('status 401') });
  await stranger.stop();
});

test('one that is away is not ready and hinders nothing; it is ready when it is back', async () => {
  using lease = await leasePorts(1);
  using context = testContext({ kind: 'comfyui-remote' });
  await using service = new RemoteComfyUIService({ ...someConfig, port: lease.first }, context);
  await service.start();
  expect(service.status).toMatchObject({ state: 'running', health: 'notReady' });
  await using other = await startEngine();
  await using back = new RemoteComfyUIService({ ...someConfig, port: other.service.port }, context);
  await back.start();
  expect(back.status.health).toBe('ready');
  await other.service.stop();
  await expect.poll(() => back.status.health).toBe('notReady');
  await other.service.start();
  await expect.poll(() => back.status.health).toBe('ready');
});

test('it is named by the variables of the predecessor, and refused without a host', async () => {
  using folder = temporaryFolder();
  const options = { definitions: [remoteComfyUI], cwd: folder.path };
  const env = { ENABLE_COMFYUI_REMOTE: 'true', WORKER_COMFYUI_REMOTE_HOST: 'box', WORKER_COMFYUI_REMOTE_PORT: '3188' };
  const { config } = await loadConfig({ ...options, env });
  expect(config.services['comfyui-remote']).toMatchObject({ host: 'box', port: 3188, secure: false });
  const { instances } = planMachine([remoteComfyUI], config, { gpus: [] });
  expect(instances.map(({ id }) => id)).toEqual(['comfyui-remote']);
  await expect(loadConfig({ ...options, env: { ENABLE_COMFYUI_REMOTE: 'true' } })).rejects.toMatchObject({
    message: expect.stringContaining(
      'services.comfyui-remote.host: is needed, got nothing; WORKER_COMFYUI_REMOTE_HOST sets it, too',
    ),
  });
  const none = composeConfigSchema([remoteComfyUI]).parse({});
  expect(planMachine([remoteComfyUI], none, { gpus: [] }).instances).toEqual([]);
});
