import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import {
  type Clock,
  composeConfigSchema,
  coreErrors,
  defineService,
  loadConfig,
  mockGpus,
  Orchestrator,
  type ServiceContext,
  type ServiceStatus,
  systemClock,
} from '@mgpu/core';
import { leasePorts, record, serviceConformance, temporaryFolder, testContext } from '@mgpu/core/testing';
import { afterAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { type NginxOptions, NginxService, nginx } from '../src/index.ts';
import { ask, startRig, workersOf } from './proxy.ts';
import { openWebSocket, startUpstream } from './upstream.ts';

const lease = await leasePorts(10);
afterAll(() => lease[Symbol.dispose]());
const ports = { port: lease.first, upstreams: { comfyui: { basePort: lease.first + 1 } } };

describe('conformance', () => {
  const endpoints = [{ instance: 'comfyui_gpu0', kind: 'comfyui', gpu: 0, url: new URL('http://127.0.0.1:1') }];
  const context = () => testContext({ kind: 'nginx', endpoints });
  serviceConformance({ definition: nginx, config: { ...ports, credentials: 'sd:secret' }, context, test });
});

describe('a start', () => {
  test('with a port that is taken fails with its holder, also when that is another of us', async () => {
    await using first = await startRig(1);
    const { port } = first.nginx.endpoint.url;
    const second = new NginxService({ port: Number(port) });
    await expect(second.start()).rejects.toMatchObject({ code: 'CORE_PORT_IN_USE', details: { pid: first.nginx.pid } });
    expect((await ask(first.at('/comfyui/'))).echo.gpu).toBe(0);
  });

  test('with a program that is not there fails with the key to correct', async () => {
    using context = testContext({ kind: 'nginx' });
    const config = nginx.schema.parse({ program: '/nowhere/nginx' });
    const { layout, log, clock, env, machine } = context;
    const signal = new AbortController().signal;
    const missing = { code: 'CORE_PROGRAM_PATH', hint: expect.stringContaining('services.nginx.program') };
    await expect(nginx.install?.({ layout, log, clock, env, machine, signal }, config)).rejects.toMatchObject(missing);
    await expect(nginx.create(config, context).start()).rejects.toMatchObject(missing);
    expect(await nginx.doctor?.(config, context)).toMatchObject([{ level: 'warning', hint: missing.hint }]);
    expect(nginx.critical).toBe(false);
  });

  test('open to other hosts needs users, or a word that it is meant', async () => {
    using context = testContext({ kind: 'nginx' });
    const open = nginx.schema.parse({ host: '0.0.0.0', port: lease.first });
    await expect(nginx.create(open, context).start()).rejects.toMatchObject({ code: 'NGINX_AUTH_REQUIRED' });
    expect(await nginx.doctor?.(open, context)).toMatchObject([{ level: 'ok' }, { level: 'warning' }]);
    const meant = nginx.create({ ...open, insecure: true }, context);
    await using _meant = meant;
    await meant.start();
    expect(meant.status).toMatchObject({ health: 'ready', endpoint: `http://127.0.0.1:${lease.first}/` });
  });

  test('works below a root with odd characters, and below one too deep for a socket', async () => {
    using folder = temporaryFolder('odd "; {');
    for (const dir of [folder.path, join(folder.path, 'x'.repeat(60), 'y'.repeat(60))]) {
      await using rig = await startRig(1, { dir });
      expect((await ask(rig.at('/comfyui/'))).echo.gpu).toBe(0);
    }
  });
});

describe('an end', () => {
  test('leaves no process, however long a websocket stays open', async () => {
    await using rig = await startRig(1, { drainMs: 100 });
    const workers = workersOf(rig.nginx);
    expect(workers.length).toBeGreaterThan(0);
    using socket = await openWebSocket(rig.at('/comfyui/ws'));
    await rig.nginx.stop();
    await socket.closed;
    expect(workers.filter(lives)).toEqual([]);
    expect(rig.nginx.status.lastExit).toMatchObject({ code: 0 });
  });

  test('of the master by force takes the workers along; the next start works', async () => {
    await using rig = await startRig(1);
    const workers = workersOf(rig.nginx);
    expect(workers.length).toBeGreaterThan(0);
    using statuses = record<ServiceStatus>(rig.nginx, 'status');
    process.kill(rig.nginx.pid ?? 0, 'SIGKILL');
    const { reason } = await statuses.until(({ state }) => state === 'failed');
    expect(reason).toMatchObject({ code: coreErrors.ProcessExitedError.code });
    expect(workers.filter(lives)).toEqual([]);
    await rig.nginx.start();
    expect((await ask(rig.at('/comfyui/'))).echo.gpu).toBe(0);
  });
});

describe('a reload', () => {
  test('serves what is new and keeps what was open', async () => {
    await using rig = await startRig(1);
    await using added = await startUpstream(1, rig.enginePort + 1);
    using socket = await openWebSocket(rig.at('/comfyui/ws'));
    const { pid } = rig.nginx;
    await rig.nginx.reload([...rig.upstreams, added].map(({ endpoint }) => endpoint));
    expect((await ask(rig.atGpu(1, '/'))).echo.gpu).toBe(1);
    expect(await socket.say('still here')).toMatch(/still here$/);
    expect(rig.nginx.pid).toBe(pid);
  });

  test('that nginx refuses leaves the old configuration serving', async () => {
    // Two kinds on one path: only nginx itself minds.
    await using rig = await startRig(1, {}, { other: { path: '/comfyui/' } });
    const before = readFileSync(rig.nginx.configFile, 'utf8');
    const [comfyui] = rig.upstreams.map(({ endpoint }) => endpoint);
    const other = { instance: 'other', kind: 'other', url: new URL('http://127.0.0.1:1') };
    const refused = rig.nginx.reload(comfyui ? [comfyui, other] : [other]);
    await expect(refused).rejects.toMatchObject({
      code: 'NGINX_CONFIG_REJECTED',
      message: expect.stringContaining('duplicate location "/comfyui/"'),
    });
    expect(readFileSync(rig.nginx.configFile, 'utf8')).toBe(before);
    expect((await ask(rig.at('/comfyui/'))).echo.gpu).toBe(0);
    await rig.nginx.reload();
    expect((await ask(rig.at('/comfyui/'))).echo.gpu).toBe(0);
  });

  test('onto a port that others hold is refused before nginx hears of it', async () => {
    await using rig = await startRig(1);
    await using holder = await startUpstream(9, rig.gpuPort + 1);
    const [first] = rig.upstreams.map(({ endpoint }) => endpoint);
    const second = { ...holder.endpoint, gpu: 1 };
    await expect(rig.nginx.reload(first ? [first, second] : [second])).rejects.toMatchObject({
      code: 'CORE_PORT_IN_USE',
      details: { port: rig.gpuPort + 1 },
    });
    expect((await ask(rig.atGpu(0, '/'))).echo.gpu).toBe(0);
  });

  test('that nginx does not act upon fails, and the old configuration goes on with its users', async () => {
    let hurry = 1;
    const clock: Clock = { ...systemClock, sleep: (ms, options) => systemClock.sleep(ms / hurry, options) };
    using folder = temporaryFolder();
    using context = testContext({ kind: 'nginx', clock });
    const authFile = join(folder.path, 'htpasswd');
    writeFileSync(authFile, 'ann:{PLAIN}secret\n');
    await using service = new NginxService({ ...ports, authFile, endpoints: [engine] }, context);
    await service.start();
    const status = async (user: string) => {
      const headers = { authorization: `Basic ${btoa(`${user}:secret`)}` };
      return (await fetch(new URL('/comfyui/', service.endpoint.url), { headers })).status;
    };
    const before = readFileSync(service.configFile, 'utf8');
    // The checks come first and are done by another nginx; only the master hangs.
    process.kill(service.pid ?? 0, 'SIGSTOP');
    writeFileSync(authFile, 'bob:{PLAIN}secret\n');
    hurry = 50;
    await expect(service.reload([engine])).rejects.toMatchObject({ code: 'NGINX_RELOAD_FAILED' });
    hurry = 1;
    expect(readFileSync(service.configFile, 'utf8')).toBe(before);
    expect(await service.health()).toMatchObject({ health: 'ready' });
    expect([await status('ann'), await status('bob')]).toEqual([502, 401]);
    process.kill(service.pid ?? 0, 'SIGCONT');
    await service.reload([engine]);
    // nginx lets its former workers go a moment after the new ones have begun.
    await expect.poll(async () => [await status('ann'), await status('bob')]).toEqual([401, 502]);
  });

  test('is called off before nginx has been told, not after', async () => {
    await using rig = await startRig(1);
    await using added = await startUpstream(1, rig.enginePort + 1);
    const before = readFileSync(rig.nginx.configFile, 'utf8');
    const early = AbortSignal.abort(new Error('too late'));
    await expect(rig.nginx.reload([], { signal: early })).rejects.toThrow('too late');
    expect(readFileSync(rig.nginx.configFile, 'utf8')).toBe(before);

    process.kill(rig.nginx.pid ?? 0, 'SIGSTOP');
    const leave = new AbortController();
    const endpoints = [...rig.upstreams, added].map(({ endpoint }) => endpoint);
    const reload = rig.nginx.reload(endpoints, { signal: leave.signal });
    await untilChanged(rig.nginx.configFile, before);
    leave.abort();
    process.kill(rig.nginx.pid ?? 0, 'SIGCONT');
    await reload;
    expect((await ask(rig.atGpu(1, '/'))).echo.gpu).toBe(1);
    await rig.nginx.reload();
  });

  test('under way ends with a stop and leaves nothing', async () => {
    using folder = temporaryFolder();
    await using rig = await startRig(1, { dir: folder.path, credentials: 'sd:secret' });
    const before = readFileSync(rig.nginx.configFile, 'utf8');
    process.kill(rig.nginx.pid ?? 0, 'SIGSTOP');
    const reload = expect(rig.nginx.reload([])).rejects.toMatchObject({ code: 'NGINX_NOT_RUNNING' });
    await untilChanged(rig.nginx.configFile, before);
    const late = expect(rig.nginx.reload([])).rejects.toMatchObject({ code: 'NGINX_NOT_RUNNING' });
    await rig.nginx.stop();
    await reload;
    await late;
    expect(readdirSync(join(folder.path, 'run'))).toEqual([]);
  });

  test('of one that is not running says so', async () => {
    await expect(new NginxService().reload([])).rejects.toMatchObject({ code: 'NGINX_NOT_RUNNING' });
  });
});

describe('one whose daemon died', () => {
  const withGpus = (count: number) =>
    Array.from({ length: count }, (_, gpu) => ({ ...engine, instance: `comfyui_gpu${gpu}`, gpu }));
  /** Starts one and leaves it as a daemon does that is killed. */
  async function abandoned(context: ServiceContext, options: NginxOptions) {
    const service = new NginxService(options, context);
    await service.start();
    const file = join(context.layout.run, 'nginx.json');
    const former = JSON.parse(readFileSync(file, 'utf8'));
    writeFileSync(file, JSON.stringify({ ...former, owner: { pid: process.pid, startTime: 0 } }));
    return service;
  }
  const statusOf = async (port: number) => (await fetch(`http://127.0.0.1:${port}/`)).status;

  test('serves the engines there are now', async () => {
    using context = testContext({ kind: 'nginx' });
    await using former = await abandoned(context, { ...ports, endpoints: withGpus(1) });
    await using next = new NginxService({ ...ports, endpoints: withGpus(2) }, context);
    await next.start();
    expect(next.status).toMatchObject({ adopted: true, pid: former.pid, health: 'ready' });
    expect(await statusOf(lease.first + 2)).toBe(502);
  });

  test('goes on with what it has where that is refused, and says so until a reload succeeds', async () => {
    using context = testContext({ kind: 'nginx' });
    await using former = await abandoned(context, { ...ports, endpoints: withGpus(1) });
    const before = readFileSync(former.configFile, 'utf8');
    await using next = new NginxService({ ...ports, endpoints: withGpus(2) }, context);
    {
      await using _holder = await startUpstream(9, lease.first + 2);
      await next.start();
    }
    expect(next.status).toMatchObject({
      state: 'running',
      adopted: true,
      pid: former.pid,
      health: 'degraded',
      reason: { message: expect.stringContaining(`${lease.first + 2}`) },
    });
    expect(readFileSync(next.configFile, 'utf8')).toBe(before);
    expect(await statusOf(lease.first + 1)).toBe(502);
    await next.reload();
    expect(next.status).toMatchObject({ health: 'ready', pid: former.pid });
    expect(await statusOf(lease.first + 2)).toBe(502);
  });
});

test('its files are closed to others and its sockets gone after a stop', async () => {
  using folder = temporaryFolder();
  await using rig = await startRig(1, { dir: folder.path });
  expect(statSync(rig.nginx.configFile).mode & 0o777).toBe(0o600);
  expect(statSync(join(folder.path, 'run')).mode & 0o777).toBe(0o700);
  expect(readdirSync(join(folder.path, 'run'))).toContain('nginx.sock');
  await rig.nginx.stop();
  expect(readdirSync(join(folder.path, 'run'))).toEqual([]);
});

test('the variables of the predecessors reach the configuration', async () => {
  using folder = temporaryFolder();
  const env = { ENABLE_NGINX: 'false', NGINX_PORT: '8081', SERVER_CREDS: 'secret' };
  const { config } = await loadConfig({ definitions: [nginx], cwd: folder.path, env });
  expect(config.services.nginx).toMatchObject({ enabled: false, port: 8081, credentials: 'secret' });
});

test('its ports are known before it starts: those of the engines there are', () => {
  const config = nginx.schema.parse({ port: 8000, upstreams: { ollama: { enabled: false, basePort: 1 } } });
  const all = [{ kind: 'redis' }, { kind: 'ollama' }, { kind: 'comfyui', gpu: 0 }, { kind: 'comfyui', gpu: 2 }];
  expect(nginx.ports?.(config, [0, 1, 2], all)).toEqual(
    [8000, 3188, 3190].map((port) => ({ instance: 'nginx', port })),
  );
});

test('a machine without Automatic1111 may use its ports for something else', () => {
  using context = testContext({ kind: 'nginx' });
  const { layout, env } = context;
  const comfyui = defineService({
    api: 1,
    kind: 'comfyui',
    summary: 'an engine on the ports that nginx keeps for Automatic1111',
    scope: 'gpu',
    phase: 'engines',
    critical: false,
    schema: z.strictObject({ enabled: z.boolean().default(true) }),
    ports: (_, gpus) => gpus.map((gpu) => ({ instance: `comfyui_gpu${gpu}`, port: 2001 + gpu })),
    create: (_, engineContext) => new NginxService({}, engineContext),
  });
  const definitions = [nginx, comfyui];
  const plan = (services: object) => {
    const config = composeConfigSchema(definitions).parse({ services });
    return new Orchestrator({ definitions, gpus: mockGpus(2), config, layout, env, machineId: 'm', daemonRun: 'r' });
  };
  expect(
    plan({})
      .status()
      .map(({ id }) => id),
  ).toEqual(['nginx', 'comfyui_gpu0', 'comfyui_gpu1']);
  expect(() => plan({ nginx: { port: 2002 } })).toThrow(expect.objectContaining({ code: 'CORE_PORT_DUPLICATE' }));
});

const engine = { instance: 'comfyui_gpu0', kind: 'comfyui', gpu: 0, url: new URL('http://127.0.0.1:1') };

/** The wait is bounded by the test's own time. */
async function untilChanged(file: string, before: string): Promise<void> {
  while (readFileSync(file, 'utf8') === before) await setImmediate();
}

/** A zombie that nobody reaps holds nothing. */
function lives(pid: string): boolean {
  try {
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false; // reaped
  }
}
