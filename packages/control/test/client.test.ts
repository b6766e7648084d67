import { request as httpRequest } from 'node:http';
import { join } from 'node:path';
import { ControlClient, type MachineEvent } from '@mgpu/control';
import { MgpuError } from '@mgpu/core';
import { describe, expect, test } from 'vitest';
import { SmallMachine, startControl, temporaryFolder } from './support.ts';

function raw(
  socketPath: string,
  method: string,
  path: string,
  body?: string,
): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const headers = body === undefined ? {} : { 'content-type': 'application/json' };
    const request = httpRequest({ socketPath, method, path, headers }, (response) => {
      let text = '';
      response.on('data', (chunk) => (text += chunk));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: text }));
    });
    request.on('error', reject);
    request.end(body);
  });
}

describe('answers', () => {
  test('come in one envelope', async () => {
    await using control = await startControl();
    const { status, body } = await raw(control.socketPath, 'GET', '/v1/status');
    expect(status).toBe(200);
    expect(JSON.parse(body)).toMatchObject({
      apiVersion: 'mgpu/v1',
      kind: 'Status',
      data: { daemon: { pid: process.pid } },
    });
  });

  test('to an unknown path are errors in the same envelope', async () => {
    await using control = await startControl();
    const { status, body } = await raw(control.socketPath, 'GET', '/v1/nothing');
    expect(status).toBe(404);
    expect(JSON.parse(body)).toMatchObject({ kind: 'Error', data: { code: 'CONTROL_REQUEST_INVALID' } });
  });

  test('to a body that is no JSON, or too large, say so', async () => {
    await using control = await startControl();
    const broken = await raw(control.socketPath, 'POST', '/v1/jobs', '{');
    expect(broken.status).toBe(400);
    const large = await raw(
      control.socketPath,
      'POST',
      '/v1/jobs',
      JSON.stringify({ type: 'comfyui', input: 'x'.repeat(17 * 1024 * 1024) }),
    ).catch(() => ({ status: 400 }));
    expect(large.status).toBe(400);
    expect(await control.client.status()).toMatchObject({ machineId: 'small' });
  });
});

describe('the client', () => {
  test('says that no daemon runs', async () => {
    using folder = temporaryFolder();
    await using client = new ControlClient({ socketPath: join(folder.path, 'none.sock') });
    await expect(client.status()).rejects.toMatchObject({ code: 'CONTROL_NOT_RUNNING' });
  });

  test('throws what was thrown in the daemon, cure and details included', async () => {
    const machine = new SmallMachine();
    machine.up = () =>
      Promise.reject(
        new MgpuError('the disk is full', {
          code: 'TEST_FULL',
          hint: 'make room',
          retryable: true,
          details: { free: 0 },
        }),
      );
    await using control = await startControl(machine);
    await expect(control.client.up()).rejects.toMatchObject({
      code: 'TEST_FULL',
      message: 'the disk is full',
      hint: 'make room',
      retryable: true,
      details: { free: 0 },
    });
  });

  test('hands on whether to force', async () => {
    await using control = await startControl();
    await control.client.down({ force: true });
    expect(control.machine.downs).toEqual([{ force: true }]);
  });

  test('gets a snapshot first and then what happens, and unsubscribes when it leaves', async () => {
    await using control = await startControl();
    const seen: MachineEvent['event'][] = [];
    for await (const { event } of control.client.events()) {
      seen.push(event);
      if (event === 'snapshot') {
        control.machine.emit({
          event: 'phase',
          data: { name: 'x', critical: true, outcome: 'ok', startedMs: 0, ms: 1, nodes: [] },
        });
      } else break;
    }
    expect(seen).toEqual(['snapshot', 'phase']);
    await expect.poll(() => control.machine.listeners.size).toBe(0);
  });

  test('stops listening by its signal', async () => {
    await using control = await startControl();
    const leave = new AbortController();
    const seen: string[] = [];
    for await (const { event } of control.client.events({ signal: leave.signal })) {
      seen.push(event);
      leave.abort();
    }
    expect(seen).toEqual(['snapshot']);
  });

  test('that never reads is dropped before it fills the memory', async () => {
    await using control = await startControl();
    const response = await new Promise<import('node:http').IncomingMessage>((resolve) => {
      httpRequest({ socketPath: control.socketPath, path: '/v1/events' }, resolve).end();
    });
    response.pause();
    const big = { name: 'x'.repeat(100_000), critical: true, outcome: 'ok', startedMs: 0, ms: 1, nodes: [] } as const;
    for (let n = 0; n < 200 && control.machine.listeners.size > 0; n++) {
      control.machine.emit({ event: 'phase', data: big });
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(control.machine.listeners.size).toBe(0);
    response.destroy();
  });

  test('says so when the daemon ends while it watches', async () => {
    await using control = await startControl();
    const watching = (async () => {
      for await (const _ of control.client.events()) void control.service.stop();
    })();
    await watching.catch((error: unknown) => expect(error).toMatchObject({ code: 'CONTROL_CONNECTION_LOST' }));
  });
});

describe('jobs', () => {
  test('are submitted, looked up and watched to their end', async () => {
    await using control = await startControl();
    const id = await control.client.submit({ type: 'comfyui', input: {} });
    const events: string[] = [];
    for await (const { event } of control.client.watch(id)) events.push(event);
    expect(events).toEqual(['progress', 'ended']);
    expect(await control.client.get(id)).toMatchObject({ state: 'cancelled' });
  });

  test('are watched to their end past pictures larger than what a reader may be behind', async () => {
    await using control = await startControl();
    const { queue } = control.machine;
    const last = queue.watch('1');
    queue.watch = async function* () {
      for (let n = 0; n < 3; n++) yield { event: 'preview', mediaType: 'image/png', data: 'A'.repeat(2_000_000) };
      yield* last;
    };
    const events: string[] = [];
    for await (const { event } of control.client.watch('1')) events.push(event);
    expect(events[0]).toBe('preview');
    expect(events.at(-1)).toBe('ended');
  });

  test('with an invalid request are refused with every problem', async () => {
    await using control = await startControl();
    const bad = control.client.submit({ type: 'Not A Type', input: {}, timeoutMs: -1 });
    await expect(bad).rejects.toMatchObject({
      code: 'CONTROL_REQUEST_INVALID',
      message: expect.stringMatching(/type: .*timeoutMs: /s),
    });
  });

  test('that nobody knows are named', async () => {
    await using control = await startControl();
    await expect(control.client.get('2')).rejects.toMatchObject({ code: 'CORE_JOB_UNKNOWN' });
    await expect(control.client.watch('2').next()).rejects.toMatchObject({ code: 'CORE_JOB_UNKNOWN' });
    await expect(control.client.cancel('2')).rejects.toMatchObject({ code: 'CORE_JOB_UNKNOWN' });
  });
});
