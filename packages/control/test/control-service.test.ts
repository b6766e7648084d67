import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, statSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { ControlClient, ControlService } from '@mgpu/control';
import { defineService } from '@mgpu/core';
import { serviceConformance, testContext } from '@mgpu/core/testing';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { SmallMachine, startControl, temporaryFolder } from './support.ts';

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
      new ControlService({ socketPath: join(context.layout.run, 'mgpu.sock') }, new SmallMachine(), context),
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
    const second = new ControlService({ socketPath: control.socketPath }, new SmallMachine(), control.context);
    await expect(second.start()).rejects.toMatchObject({
      code: 'CONTROL_ALREADY_RUNNING',
      details: { pid: process.pid },
    });
    expect(await control.client.status()).toMatchObject({ machineId: 'small' });
  });

  test('of two daemons that start at once goes to exactly one', async () => {
    using context = testContext({ kind: 'control' });
    const socketPath = join(context.layout.run, 'mgpu.sock');
    const services = [1, 2].map(
      (n) => new ControlService({ socketPath }, new SmallMachine(), { ...context, id: `control${n}` }),
    );
    const outcomes = await Promise.allSettled(services.map((each) => each.start()));
    expect(outcomes.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
    await Promise.all(services.map((each) => each.stop()));
  });

  test('of a killed daemon is taken over', async () => {
    using context = testContext({ kind: 'control' });
    const socketPath = join(context.layout.run, 'mgpu.sock');
    await mkdir(context.layout.run, { recursive: true });
    const holder = spawn(process.execPath, [join(import.meta.dirname, 'fixtures/holds-a-socket.mjs'), socketPath]);
    await once(holder.stdout, 'data');
    holder.kill('SIGKILL');
    await once(holder, 'exit');
    expect(existsSync(socketPath)).toBe(true);
    await using service = new ControlService({ socketPath }, new SmallMachine(), context);
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
    const service = new ControlService({ socketPath }, new SmallMachine(), context);
    await expect(service.start()).rejects.toMatchObject({
      code: 'CONTROL_SOCKET_PATH',
      hint: 'choose a shorter machine.root',
    });
  });
});
