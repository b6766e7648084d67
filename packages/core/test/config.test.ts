import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  configJsonSchema,
  defineService,
  environmentBindings,
  gpuSelectionSchema,
  type LoadConfigOptions,
  loadConfig,
  numberFromText,
  wordsFromText,
} from '@mgpu/core';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { failureOf, temporaryFolder } from './support.ts';

const create = () => {
  throw new TypeError('nothing is created here');
};
const painter = defineService({
  api: 1,
  kind: 'painter',
  summary: 'Paints',
  scope: 'gpu',
  phase: 'Painter',
  critical: false,
  schema: z.strictObject({
    enabled: z.boolean().default(true).describe('Whether it runs'),
    basePort: z.number().int().min(1).max(65_535).default(8188).describe('Port of GPU 0'),
    args: z.array(z.string()).default([]).describe('More arguments'),
    gpus: gpuSelectionSchema,
    auth: z
      .strictObject({ apiKey: z.string().min(8).optional(), tokens: z.array(z.string()).default([]) })
      .prefault({}),
    presets: z.array(z.strictObject({ sampler: z.string() })).default([]),
    styles: z.record(z.string(), z.strictObject({ prompt: z.string() })).default({}),
  }),
  env: {
    PAINTER_PORT: { key: 'basePort', summary: 'Port of GPU 0', parse: numberFromText },
    PAINTER_ARGS: { key: 'args', summary: 'More arguments', parse: wordsFromText },
    PAINTER_KEY: { key: 'auth.apiKey', summary: 'Key' },
  },
  create,
});

/** Loads with this file in the folder. */
function load(
  name: string | undefined,
  text = '',
  options: Partial<LoadConfigOptions> = {},
): ReturnType<typeof loadConfig> {
  const cwd = temporaryFolder();
  if (name !== undefined) writeFileSync(join(cwd, name), text);
  return loadConfig({ definitions: [painter], cwd, env: {}, ...options });
}

const problemsOf = async (loading: Promise<unknown>): Promise<string[]> => {
  const { code, details } = await failureOf(loading);
  expect(code).toBe('CORE_CONFIG_INVALID');
  return details.problems as string[];
};

describe('the configuration', () => {
  test('is all defaults without a file', async () => {
    const { config, file } = await load(undefined);
    expect(file).toBeUndefined();
    expect(config).toEqual({
      machine: { id: 'auto', root: 'auto', gpu: { count: 'auto', mode: 'auto' } },
      logging: {
        level: 'info',
        maxSizeMiB: 20,
        maxDays: 14,
        instances: { maxSizeMiB: 50, keepArchives: 5, keepMiB: 250, keepDays: 30, totalMiB: 2_000 },
      },
      services: {
        painter: {
          enabled: true,
          basePort: 8188,
          args: [],
          gpus: 'all',
          auth: { tokens: [] },
          presets: [],
          styles: {},
        },
      },
      plugins: [],
    });
  });

  test.each([
    ['mgpu.config.yaml', 'services:\n  painter: { basePort: 9000 }\n'],
    ['mgpu.config.yml', 'logging:\nservices:\n  painter: { basePort: 9000 }\n'],
    ['mgpu.config.yml', 'services: { painter: { basePort: 9000 } }'],
    ['mgpu.config.yaml', 'machine:\n  gpu:\nplugins:\nservices:\n  painter: { basePort: 9000, args: , auth: }\n'],
    ['mgpu.config.json', '{ "$schema": "./schema.json", "services": { "painter": { "basePort": 9000 } } }'],
    ['mgpu.config.json', '{\n\t"services": { "painter": { "basePort": 9000 } }\n}'],
    [
      'mgpu.config.json',
      '{ "services": { "painter": { "args": ["a: b", "\\"c\\": d", "e\\\\"], "basePort": 9000 } } }',
    ],
    ['mgpu.config.ts', 'const basePort: number = 9000;\nexport default { services: { painter: { basePort } } };'],
  ])('is read from %s', async (name, text) => {
    const { config, file } = await load(name, text);
    expect(config.services.painter?.basePort).toBe(9000);
    expect(file).toMatch(new RegExp(`/${name}$`));
  });

  test('is read from the file that is named, wherever it is', async () => {
    const file = join(temporaryFolder(), 'other.yaml');
    writeFileSync(file, 'machine: { id: named }');
    expect((await load('mgpu.config.yaml', 'machine: { id: here }', { file })).config.machine.id).toBe('named');
    expect(await failureOf(load(undefined, '', { file: 'none.yaml' }))).toMatchObject({
      code: 'CORE_CONFIG_NOT_FOUND',
      message: expect.stringMatching(/no configuration file at \/.*\/none\.yaml$/),
    });
  });

  test('puts flags over the environment over the file over defaults', async () => {
    const env = { PAINTER_PORT: '9002', LOG_LEVEL: 'warn' };
    const text = 'services: { painter: { basePort: 9001 } }\nlogging: { level: debug, maxDays: 3 }';
    const overrides = { services: { painter: { basePort: 9003 } } };
    const { config } = await load('mgpu.config.yaml', text, { env, overrides });
    expect(config.services.painter?.basePort).toBe(9003);
    expect(config.logging).toMatchObject({ level: 'warn', maxDays: 3, maxSizeMiB: 20 });
  });

  test('may be an empty file', async () => {
    expect((await load('mgpu.config.yaml', '# nothing yet\n')).config.machine.id).toBe('auto');
  });

  test('asks which definitions the plugins add', async () => {
    const asked: string[][] = [];
    const { config } = await load('mgpu.config.yaml', 'plugins: [a-plugin]', {
      definitions: async (plugins) => {
        asked.push([...plugins]);
        return [painter];
      },
    });
    expect(asked).toEqual([['a-plugin']]);
    expect(config.plugins).toEqual(['a-plugin']);
  });

  test('of a module is not changed by what is merged into it', async () => {
    const text = 'export const shared = { level: "debug" };\nexport default { logging: shared };';
    const cwd = temporaryFolder();
    const file = join(cwd, 'mgpu.config.ts');
    writeFileSync(file, text);
    const given = { definitions: [painter], cwd };
    await loadConfig({ ...given, env: { LOG_LEVEL: 'error' } });
    expect((await loadConfig({ ...given, env: {} })).config.logging.level).toBe('debug');
  });
});

describe('a configuration that is not valid', () => {
  test('is refused with every problem: path, value and what is wrong', async () => {
    const text = 'services: { painter: { basePort: 70000, enabled: 7 } }\nmachine: { id: "a b" }';
    const problems = await problemsOf(load('mgpu.config.yaml', text));
    expect(problems).toHaveLength(3);
    expect(problems.join('\n')).toMatch(/machine\.id: .*, got "a b"/);
    expect(problems.join('\n')).toMatch(/services\.painter\.basePort: .*65535.*, got 70000/);
    expect(problems.join('\n')).toMatch(/services\.painter\.enabled: .*boolean.*, got 7/);
  });

  test('names unknown keys with a suggestion', async () => {
    const block = '{ BASEPORT: 9000, presets: [{ sampler: a, smpler: x }], styles: { noir: { prompt: b, promt: y } } }';
    const text = `services: { painter: ${block}, watchdgo: {} }\nmachin: {}`;
    const problems = await problemsOf(load('mgpu.config.yaml', text));
    expect(problems.toSorted()).toEqual([
      'machin: unknown key (value {}); did you mean "machine"?',
      'services.painter.BASEPORT: unknown key (value 9000); did you mean "basePort"?',
      'services.painter.presets.0.smpler: unknown key (value "x"); did you mean "sampler"?',
      'services.painter.styles.noir.promt: unknown key (value "y"); did you mean "prompt"?',
      'services.watchdgo: unknown key (value {}); known are painter',
    ]);
  });

  test.each([
    ['a list', '- a\n- b', 'it must be a mapping of keys to values'],
    ['no YAML', 'a: [1', 'Flow sequence'],
    ['a key twice', 'machine: {}\nmachine: {}', 'Map keys must be unique'],
    ['JSON with a key twice', '{ "machine": {},\n  "machine": {} }', 'Map keys must be unique at line 2'],
    ['JSON with a mistake', '{ "machine": {}\n  "services": {} }', 'at line 2'],
  ])('that is %s says so', async (_, text, problem) => {
    expect((await problemsOf(load('mgpu.config.yaml', text))).join()).toContain(problem);
  });

  test.each([
    ['machine: foo', { ROOT: '/here' }, 'machine: ', '"foo"'],
    ['machine: { gpu: foo }', { TEST_GPUS: '2' }, 'machine.gpu: ', '"foo"'],
    ['services: [painter]', { PAINTER_ARGS: '--fast' }, 'services: ', '["painter"]'],
    ['services: { painter: { basePort: } }', {}, 'services.painter.basePort: ', 'null'],
    ['services: { painter: { gpus: 0 } }', {}, 'gpus: must be "all" or a list of indexes such as [0, 1]', '0'],
    ['machine: { gpu: { count: all } }', {}, 'count: must be "auto" or a whole number from 1 to 64', '"all"'],
  ])('that has %s is refused, whatever the variables say', async (text, env, path, value) => {
    const overrides = { machine: { id: 'given' } };
    for (const options of [{ env }, { env, overrides }]) {
      const [problem] = await problemsOf(load('mgpu.config.yaml', text, options));
      expect(problem).toContain(path);
      expect(problem).toContain(`got ${value}`);
    }
  });

  test('that is a module without a default export says so', async () => {
    const [problem] = await problemsOf(load('mgpu.config.ts', 'export const config = { machine: {} };'));
    expect(problem).toBe('it exports nothing by default; write `export default { … }`');
  });

  test('that is a module which throws, or exports what is no data, says so', async () => {
    expect(await problemsOf(load('mgpu.config.ts', 'throw new TypeError("no way");'))).toEqual(['no way']);
    expect((await problemsOf(load('mgpu.config.ts', 'export default { machine: () => 1 };'))).join()).toContain(
      'could not be cloned',
    );
  });

  test('keeps its secrets', async () => {
    const text = 'services: { painter: { auth: { apiKey: "hunter2", tokens: [123456789], password: "hunter3" } } }';
    const problems = (await problemsOf(load('mgpu.config.yaml', text))).join('\n');
    expect(problems).toContain('auth.apiKey');
    expect(problems).toContain('auth.tokens.0');
    expect(problems).toContain('auth.password');
    expect(problems).not.toMatch(/hunter|123456789/);
  });
});

describe('environment variables', () => {
  const gpuOf = async (env: Record<string, string>) => (await load(undefined, '', { env })).config.machine.gpu;

  test('set the keys they are bound to', async () => {
    const env = { PAINTER_PORT: '9000', PAINTER_ARGS: `--a --b=c\\ d "e f"='g "h'`, LOG_LEVEL: 'debug' };
    const { config } = await load(undefined, '', { env });
    expect(config.services.painter).toMatchObject({ basePort: 9000, args: ['--a', '--b=c d', 'e f=g "h'] });
    expect(config.logging.level).toBe('debug');
  });

  test('that are empty say nothing', async () => {
    expect((await load(undefined, '', { env: { PAINTER_PORT: '', ROOT: '' } })).config.machine.root).toBe('auto');
  });

  test.each([
    [{ NUM_GPUS: '4' }, { count: 4, mode: 'auto' }],
    [{ MOCK_GPU: 'true' }, { count: 'auto', mode: 'mock' }],
    [
      { MOCK_GPU: '1', MOCK_GPU_NUM: '3' },
      { count: 3, mode: 'mock' },
    ],
    [{ MOCK_GPU: 'false' }, { count: 'auto', mode: 'auto' }],
    [
      { MOCK_GPU: '0', MOCK_GPU_NUM: '2' },
      { count: 'auto', mode: 'auto' },
    ],
    [{ MOCK_GPU_NUM: '2' }, { count: 'auto', mode: 'auto' }],
    [
      { NUM_GPUS: '4', MOCK_GPU: '1' },
      { count: 4, mode: 'mock' },
    ],
    [{ GPU_MODE: 'mock' }, { count: 'auto', mode: 'mock' }],
    [{ GPU_MODE: 'actual' }, { count: 'auto', mode: 'auto' }],
    [
      { MOCK_GPU: '0', TEST_GPUS: '2', MOCK_GPU_NUM: '5' },
      { count: 2, mode: 'mock' },
    ],
    [{ TEST_GPUS: '2' }, { count: 2, mode: 'mock' }],
    [{ TEST_GPUS: '12' }, { count: 12, mode: 'mock' }],
    [{ TEST_GPUS: '0' }, { count: 'auto', mode: 'auto' }],
    [
      { NUM_GPUS: '8', TEST_GPUS: '2' },
      { count: 2, mode: 'mock' },
    ],
  ])('of the predecessors keep their meaning: %o', async (env, gpu) => {
    expect(await gpuOf(env)).toEqual(gpu);
  });

  test.each([
    ['mock', { MOCK_GPU: '0' }, 'auto'],
    ['mock', { GPU_MODE: 'actual' }, 'auto'],
    ['cpu', { MOCK_GPU: '0' }, 'cpu'],
    ['nvidia', { MOCK_GPU: '1' }, 'mock'],
  ])('win over the file: mode %s with %o', async (mode, env, wanted) => {
    const { config } = await load('mgpu.config.yaml', `machine: { gpu: { mode: ${mode} } }`, { env });
    expect(config.machine.gpu.mode).toBe(wanted);
  });

  test('say how many simulated GPUs where the file asks for simulated ones', async () => {
    const text = 'machine: { gpu: { mode: mock } }';
    const { config } = await load('mgpu.config.yaml', text, { env: { MOCK_GPU_NUM: '3' } });
    expect(config.machine.gpu).toEqual({ count: 3, mode: 'mock' });
  });

  test('of the predecessors about the machine and its log keep their meaning', async () => {
    const env = { CONTAINER_NAME: 'box', LOG_LEVEL: 'WARN', LOG_MAX_SIZE: '512k', LOG_MAX_FILES: '7d' };
    const { machine, logging } = (await load(undefined, '', { env })).config;
    expect(machine.id).toBe('box');
    expect(logging).toMatchObject({ level: 'warn', maxSizeMiB: 0.5, maxDays: 7 });
    const named = { ...env, MACHINE_ID: 'mine', MACHINE_LOG_LEVEL: 'debug', LOG_MAX_SIZE: '1g', LOG_MAX_FILES: '3' };
    const { config } = await load(undefined, '', { env: named });
    expect(config.machine.id).toBe('mine');
    expect(config.logging).toMatchObject({ level: 'warn', maxSizeMiB: 1_024, maxDays: 3 });
  });

  test.each([
    [
      { PAINTER_ARGS: '--title "my' },
      'services.painter.args',
      'left open; close the quote, or put the apostrophe into quotes, got "--title \\"my" from environment variable PAINTER_ARGS',
    ],
    [{ LOG_MAX_SIZE: 'big' }, 'logging.maxSizeMiB', '"big" from environment variable LOG_MAX_SIZE'],
    [{ PAINTER_PORT: 'many' }, 'services.painter.basePort', '"many" from environment variable PAINTER_PORT'],
    [{ NUM_GPUS: 'all' }, 'machine.gpu.count', '"all" from environment variable NUM_GPUS'],
    [{ MOCK_GPU: 'perhaps' }, 'machine.gpu.mode', '"perhaps" from environment variable MOCK_GPU'],
    [{ NUM_GPUS: '2', TEST_GPUS: 'x' }, 'machine.gpu.count', '"x" from environment variable TEST_GPUS'],
    [{ PAINTER_KEY: 'short' }, 'services.painter.auth.apiKey', '"[redacted]" from environment variable PAINTER_KEY'],
  ])('are named when their value is wrong: %o', async (env, path, text) => {
    const [problem] = await problemsOf(load(undefined, '', { env }));
    expect(problem).toContain(`${path}: `);
    expect(problem).toContain(text);
  });

  test('are named where what they set is missing', async () => {
    const remote = defineService({
      api: 1,
      kind: 'remote',
      summary: 'Paints elsewhere',
      scope: 'machine',
      phase: 'Painter',
      critical: false,
      create,
      schema: z.strictObject({ enabled: z.boolean().default(true), auth: z.strictObject({ apiKey: z.string() }) }),
      env: { REMOTE_KEY: { key: 'auth.apiKey', summary: 'Key' } },
    });
    const text = 'services: { remote: { auth: {} } }';
    const options = { definitions: [remote] };
    expect(await problemsOf(load('mgpu.config.yaml', text, options))).toEqual([
      expect.stringMatching(/^services\.remote\.auth\.apiKey: .*string.*, got nothing; REMOTE_KEY sets it, too$/),
    ]);
    const { config } = await load('mgpu.config.yaml', text, { ...options, env: { REMOTE_KEY: 'a secret' } });
    expect(config.services.remote).toMatchObject({ auth: { apiKey: 'a secret' } });
  });

  test('of the port on GPU 0 have a name by rule, for every service that has one', async () => {
    const { config } = await load(undefined, '', { env: { WORKER_BASE_PAINTER_PORT: '9100' } });
    expect(config.services.painter).toMatchObject({ basePort: 9100 });
  });

  test('are not blamed for what the command line says', async () => {
    const overrides = { machine: { gpu: { count: 'x' } } };
    const [problem] = await problemsOf(load(undefined, '', { env: { NUM_GPUS: '2' }, overrides }));
    expect(problem).toContain('got "x" from the command line');
  });

  test('are listed with the keys they set, the machine first', () => {
    const bindings = environmentBindings([painter]);
    expect(bindings[0]).toMatchObject({ name: 'WORKSPACE_DIR', path: ['machine', 'root'] });
    expect(bindings.at(-1)).toMatchObject({ name: 'PAINTER_KEY', path: ['services', 'painter', 'auth', 'apiKey'] });
  });
});

test('the JSON schema describes every key for editors, and forbids others', () => {
  const schema = configJsonSchema([painter]);
  const visit = (node: Record<string, unknown>, path: string): void => {
    const { properties } = node as { properties?: Record<string, Record<string, unknown>> };
    if (!properties) return;
    expect(node.additionalProperties, path).toBe(false);
    for (const [key, child] of Object.entries(properties)) visit(child, `${path}.${key}`);
  };
  visit(schema, '');
  expect(schema).toMatchObject({
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    properties: {
      services: {
        properties: { painter: { properties: { basePort: { default: 8188, description: 'Port of GPU 0' } } } },
      },
    },
  });
  expect(() => JSON.stringify(schema)).not.toThrow();
  expect(schema.required).toBeUndefined();
});
