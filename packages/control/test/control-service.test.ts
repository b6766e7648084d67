import { once } from 'node:events';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { link, mkdir, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { ControlApi, ControlClient, ControlService } from '@mgpu/control';
import { defineService } from '@mgpu/core';
import { serviceConformance, temporaryFolder, testContext } from '@mgpu/core/testing';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { besideOf, identityOf } from '../src/socket-lock.ts';
import { SmallMachine, startControl, startFixture } from './support.ts';

serviceConformance({
  definition: defineService({
    api: 1,
    kind: 'control',
    summary: 'control socket',
    scope: 'machine',
    phase: 'control',
    critical: true,
    schema: z.strictObject({ enabled: z.boolean().default(true) }),
    create: (_, context) =>
      new ControlService(
        { socketPath: join(context.layout.run, 'mgpu.sock') },
        new ControlApi(new SmallMachine()),
        context,
      ),
  }),
  config: {},
  context: () => testContext({ kind: 'control' }),
  test: (name, body) => test(name, body),
});

describe('the socket', () => {
  test('belongs to its user alone', async () => {
    await using control = await startControl();
    expect(statSync(control.socketPath).mode & 0o777).toBe(0o600);
    expect(statSync(dirname(control.socketPath)).mode & 0o777).toBe(0o700);
  });

  test('is the lock of the root: a second daemon is refused and told who holds it', async () => {
    await using control = await startControl();
    const second = new ControlService(
      { socketPath: control.socketPath },
      new ControlApi(new SmallMachine()),
      control.context,
    );
    await expect(second.start()).rejects.toMatchObject({
      code: 'CONTROL_ALREADY_RUNNING',
      details: { pid: process.pid },
    });
    expect(await control.client.status()).toMatchObject({ machineId: 'small' });
  });

  test('of several daemons that start at once goes to exactly one, however often, over a dead one too', async () => {
    using folder = temporaryFolder();
    using context = testContext({ kind: 'control' });
    const socketPath = join(folder.path, 'mgpu.sock');
    for (let round = 0; round < 12; round++) {
      if (round % 6 > 0) await leaveDeadSocket(socketPath);
      const services = Array.from(
        { length: 6 },
        () => new ControlService({ socketPath }, new ControlApi(new SmallMachine()), context),
      );
      const outcomes = await Promise.allSettled(services.map((each) => each.start()));
      expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
      const refused = outcomes.filter((each) => each.status === 'rejected').map(({ reason }) => reason as unknown);
      for (const reason of refused) expect(reason).toMatchObject({ code: 'CONTROL_ALREADY_RUNNING' });
      await using client = new ControlClient({ socketPath });
      expect(await client.status()).toMatchObject({ machineId: 'small' });
      await Promise.all(services.map((each) => each.stop()));
      expect(readdirSync(folder.path)).toEqual([]);
    }
  });

  test('is taken over also when whoever was taking it over died doing so', async () => {
    using folder = temporaryFolder();
    using context = testContext({ kind: 'control' });
    const socketPath = join(folder.path, 'mgpu.sock');
    await leaveDeadSocket(socketPath);
    await leaveDeadSocket(besideOf(socketPath, (await identityOf(socketPath)) ?? ''));
    await using service = new ControlService({ socketPath }, new ControlApi(new SmallMachine()), context);
    await service.start();
    await using client = new ControlClient({ socketPath });
    expect(await client.status()).toMatchObject({ machineId: 'small' });
    expect(readdirSync(folder.path)).toEqual(['mgpu.sock']);
  });

  test('is taken over also when whoever was giving it its name died doing so, before or after', async () => {
    using folder = temporaryFolder();
    using context = testContext({ kind: 'control' });
    const socketPath = join(folder.path, 'mgpu.sock');
    const ours = createServer().listen(join(folder.path, 'other.sock.12345678'));
    await once(ours, 'listening');
    await leaveDeadSocket(socketPath);
    await link(socketPath, besideOf(socketPath, 'after123'));
    await leaveDeadSocket(besideOf(socketPath, 'before12'));
    await using service = new ControlService({ socketPath }, new ControlApi(new SmallMachine()), context);
    await service.start();
    expect(readdirSync(folder.path).toSorted()).toEqual(['mgpu.sock', 'other.sock.12345678']);
    ours.close();
  });

  test('of another daemon is left alone by one that stops', async () => {
    await using control = await startControl();
    await rm(control.socketPath); // by hand, by somebody who thought it dead
    await using other = new ControlService(
      { socketPath: control.socketPath },
      new ControlApi(new SmallMachine()),
      control.context,
    );
    await other.start();
    await control.service.stop();
    expect(await control.client.status()).toMatchObject({ machineId: 'small' });
  });

  test('that is held by a daemon that hangs is refused in bounded time, and its process named', async () => {
    using folder = temporaryFolder();
    using context = testContext({ kind: 'control' });
    const socketPath = join(folder.path, 'mgpu.sock');
    await using daemon = await startFixture('holds-a-socket.mjs', `${socketPath}.bound`);
    await link(`${socketPath}.bound`, socketPath);
    const second = new ControlService({ socketPath }, new ControlApi(new SmallMachine()), context);
    await expect(second.start()).rejects.toMatchObject({
      code: 'CONTROL_ALREADY_RUNNING',
      details: { pid: daemon.pid },
    });
  });

  test('of a killed daemon is taken over', async () => {
    using context = testContext({ kind: 'control' });
    const socketPath = join(context.layout.run, 'mgpu.sock');
    await mkdir(context.layout.run, { recursive: true });
    await (await startFixture('holds-a-socket.mjs', socketPath))[Symbol.asyncDispose]();
    expect(existsSync(socketPath)).toBe(true);
    await using service = new ControlService({ socketPath }, new ControlApi(new SmallMachine()), context);
    await service.start();
    await using client = new ControlClient({ socketPath });
    expect(await client.status()).toMatchObject({ machineId: 'small' });
  });

  test('is gone after the stop', async () => {
    const control = await startControl();
    await control.service.stop();
    expect(existsSync(control.socketPath)).toBe(false);
    await control[Symbol.asyncDispose]();
  });

  test('with a path too long for the system is refused with the cure', async () => {
    using folder = temporaryFolder();
    using context = testContext({ kind: 'control' });
    const socketPath = join(folder.path, 'x'.repeat(100), 'mgpu.sock');
    const service = new ControlService({ socketPath }, new ControlApi(new SmallMachine()), context);
    await expect(service.start()).rejects.toMatchObject({
      code: 'CORE_SOCKET_PATH',
      hint: expect.stringContaining('a shorter machine.root'),
    });
  });

  test('is named in the endpoint whatever characters its path has', () => {
    const service = new ControlService({ socketPath: '/a #b/mgpu.sock' }, new ControlApi(new SmallMachine()));
    expect(service.endpoint.url.href).toBe('unix:///a%20%23b/mgpu.sock');
  });
});

/** The name of a server that is gone: only the name it was bound to went with it. */
async function leaveDeadSocket(path: string): Promise<void> {
  const server = createServer().listen(`${path}.bound`);
  await once(server, 'listening');
  await link(`${path}.bound`, path);
  server.close();
  await once(server, 'close');
}
