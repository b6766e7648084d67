import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Box, invertWorkflow, openBox } from './support.ts';

test('an unknown configuration key is named with its value and a suggestion', async () => {
  await using box = await openBox(() => ({ comfyui: { basePrt: 9000 } }));
  for (const command of [
    ['config', 'validate'],
    ['up', '--mock', '1'],
  ]) {
    const { code, stderr } = await box.mgpu(command);
    expect(code).toBe(2);
    expect(stderr).toContain('services.comfyui.basePrt: unknown key (value 9000); did you mean "basePort"?');
  }
});

test('a wrong environment variable is named', async () => {
  await using box = await openBox();
  const { code, stderr } = await box.mgpu(['config', 'validate'], { NUM_GPUS: 'many' });
  expect(code).toBe(2);
  expect(stderr).toContain('environment variable NUM_GPUS');
});

test('shared folders that cannot be made stop the boot, and a root without a boot has no phases', async () => {
  await using box = await openBox();
  const none = await box.mgpu(['phases']);
  expect(none.code).toBe(1);
  expect(none.stderr).toContain(`no boot is on record in ${box.root}`);
  mkdirSync(box.root);
  writeFileSync(join(box.root, 'shared'), 'a file');
  const { code, stderr } = await box.mgpu(['up', '--mock', '1', '--detach']);
  expect(code).toBe(1);
  expect(stderr).toContain(`the shared folders in ${join(box.root, 'shared')} cannot be used: `);
  expect(stderr).toContain('MACHINE_SHARED_DIRECTORIES');
  const failed = await box.mgpu(['phases']);
  expect(failed.stdout).toMatch(/· ✖ failed\n(?:.|\n)*✖ shared directories/);
});

test('a port in use stops the boot and names its holder', async () => {
  await using box = await openBox();
  const holder = createServer().listen(box.port, '127.0.0.1');
  try {
    const { code, stderr } = await box.mgpu(['up', '--mock', '1', '--detach']);
    expect(code).toBe(1);
    expect(stderr).toContain(`port ${box.port} on 127.0.0.1 is in use by process ${process.pid}`);
    expect((await box.mgpu(['status'])).code).toBe(3);
  } finally {
    holder.close();
  }
});

test('a port given twice is found before anything starts, by a daemon as by its launcher', async () => {
  await using box = await openBox((port) => ({
    nginx: { port: port + 1, upstreams: { comfyui: { basePort: port + 10 } } },
  }));
  const detached = ['up', '--mock', '2', '--detach'];
  for (const command of [['up', '--mock', '2'], detached]) {
    const { code, stderr } = await box.mgpu(command);
    expect(code).toBe(2);
    expect(stderr).toContain(`port ${box.port + 1} is given to more than one instance: nginx, comfyui_gpu1`);
    expect(stderr).toContain('CORE_PORT_DUPLICATE');
  }
  const doctor = await box.mgpu(['doctor', '--mock', '2']);
  expect(doctor.code).toBe(1);
  expect(doctor.stdout).toMatch(/✖ plan +port \d+ is given to more than one instance/);
});

test('a GPU that is not there is named with those that are', async () => {
  await using box = await openBox(() => ({ comfyui: { gpus: [0, 7] } }));
  const { code, stderr } = await box.mgpu(['up', '--mock', '2', '--detach']);
  expect(code).toBe(2);
  expect(stderr).toContain('no such GPU: 7; this machine has 2 GPUs: 0 to 1');
  const validated = await box.mgpu(['config', 'validate'], { MOCK_GPU: 'true' });
  expect(validated.code).toBe(2);
  expect(validated.stderr).toContain('no such GPU: 7');
});

test('doctor names a port in use and a root that is a file', async () => {
  await using box = await openBox();
  const holder = createServer().listen(box.port, '127.0.0.1');
  try {
    const { code, stdout } = await box.mgpu(['doctor', '--mock', '1']);
    expect(code).toBe(1);
    expect(stdout).toMatch(new RegExp(`✖ ports +comfyui_gpu0: port ${box.port} on 127\\.0\\.0\\.1 is in use`));
    const file = await box.writeJson('root.json', {});
    const doctor = await box.mgpu(['doctor', '--mock', '1', '--root', file]);
    expect(doctor.stdout).toMatch(/is\s+not\s+a\s+folder/);
    expect(doctor.stdout).toMatch(/✖ root +the root .*root\.json cannot be used[\s\S]*→ set machine\.root/);
  } finally {
    holder.close();
  }
});

test('doctor finds a machine of simulated GPUs healthy, group by group', async () => {
  await using box = await openBox();
  const { code, stdout } = await box.mgpu(['doctor', '--mock', '2']);
  expect(code).toBe(0);
  expect(stdout.match(/^[A-Z]\w+$/gm)).toEqual(['Host', 'GPUs', 'Machine', 'Services']);
  for (const subject of ['node', 'disk', 'open files', 'clock', 'git', 'gpu 1', 'root', 'config', 'ports', 'redis'])
    expect(stdout, subject).toMatch(new RegExp(`^[✔!] ${subject} `, 'm'));
  expect(stdout).toMatch(/^healthy(, \d+ warnings?)?$/m);
  for (const line of stdout.split('\n')) if (!line.includes(box.dir)) expect(line.length, line).toBeLessThanOrEqual(80);
});

test('doctor says what to do about too little room, and that no jobs are taken there', async () => {
  await using box = await openBox(() => ({ watchdog: { disk: { stopGiB: 1e9, resumeGiB: 2e9 } } }));
  const { code, stdout } = await box.mgpu(['doctor', '--mock', '1']);
  expect(code).toBe(1);
  expect(stdout).toMatch(/✖ disk +.*no\s+jobs\s+are\s+taken[\s\S]*→ make room: `mgpu models du`/);
  expect(stdout).toMatch(/^1 error, \d+ warnings?$/m);
});

test('doctor reports the host, its disk and the names of the variables that are set', async () => {
  await using box = await openBox();
  const doctor = await box.mgpu(['doctor', '--json'], { TEST_GPUS: '2', HF_TOKEN: 'hf_secret' });
  const findings = doctor.json<{ subject: string; level: string; message: string }[]>().data;
  const said = (subject: string) => findings.filter((each) => each.subject === subject).map(({ message }) => message);
  expect(said('host')).toEqual([
    expect.stringMatching(/^\S+: \d+ cores.*, [\d.]+ GB of memory, [\d.]+ [MG]B of it unused$/),
  ]);
  expect(said('disk')).toEqual([expect.stringMatching(/^[\d.]+ [MG]B of [\d.]+ [MG]B are free for \/.*root$/)]);
  expect(said('gpu 1')).toEqual([expect.stringContaining('MiB')]);
  expect(said('variables')).toEqual(['TEST_GPUS, HF_TOKEN']);
  expect(doctor.stdout).not.toContain('hf_secret');
});

describe('a workflow that cannot be done', () => {
  let box: Box;
  beforeAll(async () => {
    box = await openBox();
    await box.mgpu(['up', '--mock', '1', '--detach']);
  }, 60_000);
  afterAll(() => box[Symbol.asyncDispose](), 60_000);

  test.each([
    ['is missing', undefined, 'there is no such file'],
    ['is no JSON', '{', 'it is not JSON'],
    ['is in the wrong format', { nodes: [], links: [] }, 'Export (API)'],
  ])('because it %s is refused with the cure', async (_, content, reason) => {
    const path = content === undefined ? 'nowhere.json' : await box.writeJson('workflow.json', content);
    const { code, stderr } = await box.mgpu(['run', path]);
    expect(code).toBe(1);
    expect(stderr).toContain(reason);
  });

  test("because the engine refuses it comes back with the engine's own words", async () => {
    const { '3': save, ...rest } = invertWorkflow();
    const unknown = await box.mgpu([
      'run',
      await box.writeJson('unknown.json', { ...rest, '3': { ...save, class_type: 'NoSuchNode' } }),
    ]);
    expect(unknown.code).toBe(1);
    expect(unknown.stderr).toContain('NoSuchNode');
    const missing = await box.writeJson('missing.json', {
      ...invertWorkflow(),
      '2': { class_type: 'ImageInvert', inputs: {} },
    });
    const { code, stderr } = await box.mgpu(['run', missing]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/node 2.*ImageInvert.*image/s);
    const failed = await box.mgpu(['run', missing, '--json']);
    expect(failed.code).toBe(1);
    expect(failed.json()).toMatchObject({
      kind: 'Job',
      data: { state: 'failed', error: { code: 'COMFYUI_PROMPT_INVALID' } },
    });
  });
});

test('an engine that dies at start stops the boot with its last words', async () => {
  await using box = await openBox();
  const MGPU_SIM = JSON.stringify({ faults: { dieAtStart: { exitCode: 7, message: 'no kernel image is available' } } });
  const { code, stderr } = await box.mgpu(['up', '--mock', '1', '--detach'], { MGPU_SIM });
  expect(code).toBe(1);
  expect(stderr).toMatch(/comfyui_gpu0: the process ended with exit code 7.*no kernel image is available/);
  expect((await box.mgpu(['status'])).code).toBe(3);
});

test('a checkout that is not there is named with the key to set', async () => {
  await using box = await openBox(() => ({ comfyui: { dir: '/nowhere/ComfyUI' } }));
  const { code, stderr } = await box.mgpu(['up', '--detach'], { NUM_GPUS: '1', COMFYUI_CPU_MODE: 'true' });
  expect(code).toBe(1);
  expect(stderr).toMatch(/\/nowhere\/ComfyUI[\s\S]*services\.comfyui\.dir/);
});

test('a wrong command line is a usage error', async () => {
  await using box = await openBox();
  for (const args of [['nonsense'], ['up', '--mock', 'many'], ['run'], ['status', '--nonsense']]) {
    const { code, stderr } = await box.mgpu(args);
    expect(code, args.join(' ')).toBe(2);
    expect(stderr).toContain('MACHINE_USAGE');
    const asked = await box.mgpu([...args, '--json']);
    expect(asked.code).toBe(2);
    expect(asked.json()).toMatchObject({ kind: 'Error', data: { code: 'MACHINE_USAGE' } });
  }
});

test('a Node that is too old is told so', async () => {
  await using box = await openBox();
  const disguise = "Object.defineProperty(process.versions, 'node', { value: '20.20.2' })";
  const { code, stderr } = await box.mgpu(['status'], {
    NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(disguise)}`,
  });
  expect(code).toBe(1);
  expect(stderr).toMatch(/^mgpu needs Node 22\.19 or newer; this is /);
});

test('a configuration that is wrong keeps nobody from looking at the machine and stopping it', async () => {
  await using box = await openBox();
  await box.mgpu(['up', '--mock', '1', '--detach']);
  await box.writeConfig({
    machine: { root: box.root },
    services: { comfyui: { basePrt: 9000 } },
    plugins: ['nowhere'],
  });
  expect((await box.mgpu(['status'])).code).toBe(0);
  expect((await box.mgpu(['run', await box.writeJson('invert.json', invertWorkflow())])).code).toBe(0);
  expect((await box.mgpu(['down'])).code).toBe(0);
  await box.writeConfig({ machine: { root: ['no', 'path'] } });
  const unknown = await box.mgpu(['status']);
  expect(unknown.code).toBe(2);
  expect(unknown.stderr).toContain('MACHINE_ROOT_UNKNOWN');
  expect((await box.mgpu(['status', '--root', box.root])).code).toBe(3);
});

test('simulated GPUs that somebody tries out stay away from a shared queue', async () => {
  await using box = await openBox(() => ({ redis: { url: 'redis://127.0.0.1:1' } }));
  const up = await box.mgpu(['up', '--mock', '1', '--detach']);
  expect(up.code).toBe(0);
  expect(up.stderr).toContain('services.redis.url is ignored with --mock');
  expect((await box.mgpu(['run', await box.writeJson('invert.json', invertWorkflow())])).code).toBe(0);
});

test('a job that nobody would ever take is refused', async () => {
  await using box = await openBox(() => ({ worker: { enabled: false } }));
  await box.mgpu(['up', '--mock', '1', '--detach']);
  const { code, stderr } = await box.mgpu(['run', await box.writeJson('invert.json', invertWorkflow())]);
  expect(code).toBe(1);
  expect(stderr).toMatch(/no worker is enabled[\s\S]*CONTROL_NO_JOBS[\s\S]*services\.worker/);
});

test("a plugin is found beside the configuration file, by its package's import entry", async () => {
  await using box = await openBox();
  const folder = join(box.dir, 'elsewhere', 'node_modules', 'gadget');
  mkdirSync(folder, { recursive: true });
  const manifest = { name: 'gadget', version: '1.0.0', type: 'module', exports: { import: './index.js' } };
  writeFileSync(join(folder, 'package.json'), JSON.stringify(manifest));
  writeFileSync(
    join(folder, 'index.js'),
    `import { z } from '${import.meta.resolve('zod')}';
     const schema = z.strictObject({ enabled: z.boolean().default(false), size: z.string().optional() });
     const env = { GADGET_SIZE: { key: 'size', summary: 'How large it is' } };
     export const gadget = { env, api: 1, kind: 'gadget', summary: '', scope: 'machine', schema, phase: 'gadget', critical: false, create() {} };`,
  );
  const config = join(box.dir, 'elsewhere', 'box.yaml');
  writeFileSync(config, 'plugins: [gadget]\nservices: { gadget: { enabled: false } }\n');
  expect(await box.mgpu(['config', 'validate', '--config', config])).toMatchObject({ code: 0, stderr: '' });
  const understood = await box.mgpu(['config', 'environment', '--config', config]);
  expect(understood.stdout).toMatch(/^GADGET_SIZE +services\.gadget\.size\n +How large it is$/m);
  expect(understood.stdout).toMatch(/^ROOT +machine\.root$/m);
  writeFileSync(config, 'plugins: [nowhere]\n');
  const missing = await box.mgpu(['config', 'validate', '--config', config]);
  expect(missing.code).toBe(2);
  expect(missing.stderr).toMatch(/the plugin nowhere cannot be used[\s\S]*CORE_PLUGIN/);
});
