import { defineService, MgpuError, mockGpus } from '@mgpu/core';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { machine, workshop } from './machine.ts';

const { define } = workshop();
const failure = (build: () => unknown): { code: string; message: string } => {
  try {
    build();
  } catch (error) {
    return error as { code: string; message: string };
  }
  throw new TypeError('expected a failure');
};

describe('a machine is planned before anything starts', () => {
  test('with one instance of a machine service and one a GPU of a GPU service', () => {
    const ids = machine([define('redis'), define('worker', { scope: 'gpu' })])
      .status()
      .map(({ id }) => id);
    expect(ids).toEqual(['redis', 'worker_gpu0', 'worker_gpu1']);
  });

  test('on the GPUs that the configuration selects', () => {
    const services = { worker: { gpus: [1] } };
    const statuses = machine([define('worker', { scope: 'gpu' })], { services }).status();
    expect(statuses).toMatchObject([{ id: 'worker_gpu1', gpu: 1 }]);
  });

  test('with as many instances as the configuration of a service asks for, where that decides', () => {
    const scope = ({ gpus }: { gpus?: unknown }) => (gpus === 'all' ? 'machine' : 'gpu');
    const ids = (services: Record<string, unknown>) =>
      machine([define('engine', { scope })], { services })
        .status()
        .map(({ id }) => id);
    expect(ids({})).toEqual(['engine']);
    expect(ids({ engine: { gpus: [1] } })).toEqual(['engine_gpu1']);
  });

  test('without what is not enabled, which nobody waits for then', () => {
    const definitions = [define('redis'), define('worker', { dependsOn: [{ on: 'redis', when: 'ready' }] })];
    const planned = machine(definitions, { services: { redis: { enabled: false } } });
    expect(planned.status().map(({ id }) => id)).toEqual(['worker']);
  });

  test('so that "connector" means every service that has one', async () => {
    const module = new URL('file:///connector.js');
    const { define, journal } = workshop();
    await machine([
      define('worker', { dependsOn: [{ on: 'connector', when: 'ready' }] }),
      define('engine', { connector: { types: ['paint'], module } }),
      define('other', { dependsOn: [{ on: 'worker', when: 'ready' }] }),
    ]).start();
    expect(journal.filter((each) => each.startsWith('start'))).toEqual(['start engine', 'start worker', 'start other']);
    expect(failure(() => define('connector'))).toMatchObject({ code: 'CORE_DEFINITION_INVALID' });
  });

  test('and refused when a GPU is not there', () => {
    const services = { worker: { gpus: [0, 7] } };
    expect(failure(() => machine([define('worker', { scope: 'gpu' })], { services }))).toMatchObject({
      code: 'CORE_GPU_OUT_OF_RANGE',
      message: 'no such GPU: 7; this machine has 2 GPUs: 0 to 1',
    });
    const gpuProblem = new MgpuError('nvidia-smi failed', { code: 'TEST_DRIVER' });
    const gpus = mockGpus(1);
    expect(failure(() => machine([define('worker', { scope: 'gpu' })], { services, gpus, gpuProblem }))).toMatchObject({
      message: 'no such GPU: 7; this machine has one GPU: 0; nvidia-smi failed',
      cause: gpuProblem,
    });
  });

  test('and refused when a port is given twice', () => {
    const definitions = [
      define('a', { ports: [{ instance: 'a', port: 8188 }] }),
      define('b', { ports: [{ instance: 'b', port: 8188 }] }),
    ];
    expect(failure(() => machine(definitions))).toMatchObject({
      code: 'CORE_PORT_DUPLICATE',
      message: 'port 8188 is given to more than one instance: a, b',
    });
  });

  test('and refused when services wait for each other', () => {
    const definitions = [
      define('a', { dependsOn: [{ on: 'b', when: 'ready' }] }),
      define('b', { dependsOn: [{ on: 'c', when: 'ready' }] }),
      define('c', { dependsOn: [{ on: 'b', when: 'started' }] }),
    ];
    expect(failure(() => machine(definitions))).toMatchObject({
      code: 'CORE_DEPENDENCY_CYCLE',
      message: 'these services wait for each other: b → c → b',
    });
  });

  test('and refused when a service waits for what nobody defines, or is there twice', () => {
    const stranger = [define('a', { dependsOn: [{ on: 'ghost', when: 'ready' }] })];
    expect(failure(() => machine(stranger))).toMatchObject({
      code: 'CORE_DEFINITION_INVALID',
      message: 'the service definition "a" depends on "ghost", which nobody defines',
    });
    expect(failure(() => machine([define('a'), define('a')])).message).toBe(
      'the service definition "a" is there twice',
    );
  });
});

describe('a definition', () => {
  const schema = z.strictObject({ enabled: z.boolean().default(true) });
  const base = { api: 1, kind: 'ok', summary: '', scope: 'machine', phase: '', critical: false, schema } as const;
  const create = () => {
    throw new TypeError('nothing is created here');
  };

  test('is frozen', () => {
    expect(Object.isFrozen(defineService({ ...base, create }))).toBe(true);
  });

  test.each([
    ['of another contract', { api: 2 }, 'is made for version 2 of the service contract; this core knows version 1'],
    ['called like a command', { kind: 'status' }, "has a kind that is a command or a folder of the machine's own"],
    ['called like a folder', { kind: 'state' }, "has a kind that is a command or a folder of the machine's own"],
    ['with an odd kind', { kind: 'Not Kebab' }, 'has a kind that is not kebab-case'],
    ['without "enabled"', { schema: z.strictObject({}) }, 'has a schema without the key "enabled"'],
  ])('%s is refused', (_, wrong, problem) => {
    expect(failure(() => defineService({ ...base, ...wrong, create } as never))).toMatchObject({
      code: 'CORE_DEFINITION_INVALID',
      message: expect.stringContaining(problem),
    });
  });
});

describe('what instances see of the machine', () => {
  const module = new URL('file:///connector.js');
  const engine = define('engine', { scope: 'gpu', basePort: 8188, connector: { types: ['paint'], module } });
  const seen = () => machine([engine, define('redis', { basePort: 6379 }), define('silent')]).view;

  test('is every endpoint, whether it runs or not', () => {
    const view = seen();
    expect(view.machineId).toBe('bench');
    expect(view.gpus.map(({ index }) => index)).toEqual([0, 1]);
    expect(view.endpoints().map(({ instance, url }) => `${instance} ${url.port}`)).toEqual([
      'engine_gpu0 8188',
      'engine_gpu1 8189',
      'redis 6379',
    ]);
  });

  test('is filtered by kind and GPU; what has no GPU serves all', () => {
    const view = seen();
    const of = (filter: Parameters<typeof view.endpoints>[0]) => view.endpoints(filter).map(({ instance }) => instance);
    expect(of({ kind: 'engine' })).toEqual(['engine_gpu0', 'engine_gpu1']);
    expect(of({ gpu: 1 })).toEqual(['engine_gpu1', 'redis']);
    expect(of({ kind: 'engine', gpu: 1 })).toEqual(['engine_gpu1']);
  });

  test('is the connector of the engine on the same GPU', () => {
    const view = seen();
    expect(view.connectors(1)).toEqual([
      {
        kind: 'engine',
        types: ['paint'],
        module: 'file:///connector.js',
        endpoint: expect.objectContaining({ instance: 'engine_gpu1', gpu: 1 }),
      },
    ]);
    expect(view.connectors(5)).toEqual([]);
  });

  test('is the status of every instance', () => {
    expect(
      seen()
        .instances()
        .map(({ id, state }) => `${id} ${state}`),
    ).toContain('silent stopped');
  });
});
