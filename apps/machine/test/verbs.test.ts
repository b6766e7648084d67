import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import type { MachineStatus } from '@mgpu/control';
import type { InstanceOutcome } from '@mgpu/core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Box, openBox } from './support.ts';

const cli = join(import.meta.dirname, '../bin/mgpu.js');

/** A service of a plugin, on each GPU. */
function addGadget(box: Box): void {
  const folder = join(box.dir, 'node_modules', 'gadget');
  mkdirSync(folder, { recursive: true });
  writeFileSync(
    join(folder, 'package.json'),
    JSON.stringify({ name: 'gadget', type: 'module', exports: './index.js' }),
  );
  writeFileSync(
    join(folder, 'index.js'),
    `import { BaseService, defineService, gpuSelectionSchema } from '${import.meta.resolve('@mgpu/core')}';
     import { z } from '${import.meta.resolve('zod')}';
     class Gadget extends BaseService { async onStart() {} }
     export const gadget = defineService({
       api: 1, kind: 'gadget', summary: 'A gadget', scope: 'gpu', phase: 'gadget', critical: false,
       schema: z.strictObject({ enabled: z.boolean().default(true), gpus: gpuSelectionSchema }),
       create: (config, context) => new Gadget(config, context),
     });`,
  );
}

describe('on a machine that runs', () => {
  let box: Box;
  const mgpu = (line: string) => box.mgpu(line.split(' '));
  const instances = async () => (await mgpu('status --json')).json<MachineStatus>().data.instances;
  const runs = async () => Object.fromEntries((await instances()).map(({ id, run }) => [id, run]));
  const states = async (...ids: string[]) =>
    (await instances()).filter(({ id }) => ids.includes(id)).map(({ state }) => state);

  beforeAll(async () => {
    box = await openBox(() => ({ gadget: { gpus: [1] } }), {}, ['gadget']);
    addGadget(box);
    expect(await mgpu('up --mock 2 --detach')).toMatchObject({ code: 0, stderr: '' });
  });
  afterAll(() => box[Symbol.asyncDispose]());

  test('doctor and status see it as it was started, and fit into 80 columns', async () => {
    const doctor = await mgpu('doctor');
    expect(doctor.code, doctor.stdout).toBe(0);
    expect(doctor.stdout).toMatch(/gpu 1 +Simulated GPU/);
    const { stdout } = await mgpu('status');
    for (const line of stdout.split('\n'))
      if (!line.includes(box.root)) expect(line.length, line).toBeLessThanOrEqual(80);
    expect(stdout).toMatch(/^mgpu 0\.0\.0 · \S+ · 2 simulated GPUs(\n {2}| · )\/.*(\n {2}| · )up \d+ s$/m);
  });

  test('what is on a GPU stops and starts by its name, and nothing else does', async () => {
    const before = await runs();
    const stopped = await mgpu('stop gpu:1 --json');
    expect(stopped.code).toBe(0);
    const outcomes = stopped.json<InstanceOutcome[]>().data;
    expect(outcomes.map(({ instance, error }) => [instance.id, instance.state, error])).toEqual([
      ['comfyui_gpu1', 'stopped', undefined],
      ['worker_gpu1', 'stopped', undefined],
      ['gadget_gpu1', 'stopped', undefined],
    ]);
    const status = await mgpu('status comfyui gadget');
    expect(status.code).toBe(4);
    expect(status.stdout).toMatch(
      /^instance .*\ncomfyui_gpu0 +ready .*\ncomfyui_gpu1 +stopped.*\ngadget_gpu1 +stopped.*\n$/,
    );
    const started = await mgpu('start all');
    expect(started.code).toBe(0);
    expect(started.stdout).toMatch(
      /^✔ comfyui_gpu0 +already started, port \d+, pid \d+\n✔ comfyui_gpu1 +started, port /m,
    );
    expect((await mgpu('status gpu:1')).code).toBe(0);
    const after = await runs();
    const same = Object.keys(after).filter((id) => after[id] === before[id]);
    expect(same.toSorted()).toEqual(
      Object.keys(after)
        .filter((id) => !id.endsWith('_gpu1'))
        .toSorted(),
    );
  });

  test('a restart is of those that are named, by force or not', async () => {
    const before = await runs();
    expect((await mgpu('restart comfyui_gpu0 nginx')).stdout).toMatch(
      /^✔ nginx +restarted, .*\n✔ comfyui_gpu0 +restarted, .*\n$/,
    );
    expect((await mgpu('worker restart 0 --force')).code).toBe(0);
    const after = await runs();
    const moved = Object.keys(after).filter((id) => after[id] !== before[id]);
    expect(moved.toSorted()).toEqual(['comfyui_gpu0', 'nginx', 'worker_gpu0']);
    expect(await mgpu('restart --outdated')).toMatchObject({ code: 0, stdout: 'nothing to do\n' });
    expect((await mgpu('restart')).code).toBe(2);
  });

  test('the status of what is stopped says nothing that looks like running', async () => {
    expect(await mgpu('comfyui stop 0')).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/comfyui_gpu0 +stopped/),
    });
    const status = await mgpu('comfyui status 0');
    expect(status.code).toBe(1);
    expect(status.stdout).not.toMatch(/running|ready/);
    expect((await mgpu('comfyui status all')).code).toBe(4);
    expect((await mgpu('comfyui start all')).code).toBe(0);
    expect((await mgpu('comfyui status')).code).toBe(0);
  });

  test('starting all tells of those that failed', async () => {
    expect((await mgpu('comfyui stop all')).code).toBe(0);
    const holder = createServer().listen(box.port, '127.0.0.1');
    try {
      const partly = await mgpu('comfyui start all --json');
      expect(partly.code).toBe(4);
      expect(partly.json()).toMatchObject({
        kind: 'Instances',
        data: [
          { instance: { id: 'comfyui_gpu0' }, error: { code: 'CORE_PORT_IN_USE' } },
          { instance: { state: 'running' } },
        ],
      });
      const failed = await mgpu('start comfyui_gpu0');
      expect(failed.code).toBe(1);
      expect(failed.stdout).toMatch(/^✖ comfyui_gpu0 +not started: .*port \d+/);
    } finally {
      holder.close();
    }
    expect((await mgpu('comfyui start 0 1')).code).toBe(0);
    expect(await states('comfyui_gpu0', 'comfyui_gpu1')).toEqual(['running', 'running']);
  });

  test('every verb looks at what it is given before it does anything', async () => {
    const before = await runs();
    const verbs = ['start', 'stop', 'restart', 'status', 'setup'];
    const ofMachine = verbs.slice(0, 4);
    const refused = async (lines: readonly string[], why: RegExp) => {
      for (const { code, stdout, stderr } of await Promise.all(lines.map(mgpu)))
        expect({ code, stdout, stderr }).toEqual({ code: 2, stdout: '', stderr: expect.stringMatching(why) });
    };
    const noGpu = /no GPU "\S+"; it has 2: 0 to 1 \(CORE_GPU_UNKNOWN/;
    await refused(
      verbs.map((verb) => `comfyui ${verb} 2`),
      noGpu,
    );
    await refused(
      verbs.map((verb) => `gadget ${verb} 1 1e0`),
      noGpu,
    );
    await refused(
      ofMachine.map((verb) => `${verb} comfyui gpu:9`),
      noGpu,
    );
    await refused(
      ofMachine.map((verb) => `${verb} comfyui_gpu0 comfyui_gpu7`),
      /no service or instance "comfyui_gpu7"; did you mean "comfyui_gpu[01]"\?/,
    );
    await refused(['gadgte start 1', 'gadgte stop all'], /no service or instance "gadgte"; did you mean "gadget"\?/);
    await refused(['redis stop 0'], /redis runs once for the whole machine, and takes no GPU: 0/);
    await refused(['gadget stop 0'], /gadget has nothing on GPU 0; it has: gadget_gpu1/);
    await refused(['worker stop'], /worker runs on each GPU: give the number of one \(0, 1\), or all/);
    expect(await runs()).toEqual(before);
  });

  test('every service has the verbs, those of plugins and those that run once, too', async () => {
    for (const line of [
      'redis restart',
      'nginx stop all',
      'nginx start',
      'gadget stop all',
      'gadget start 1',
      'gadget setup 1',
      'custom-nodes status',
    ])
      expect({ line, code: (await mgpu(line)).code }).toEqual({ line, code: 0 });
    expect(await states('redis', 'nginx', 'gadget_gpu1')).toEqual(['running', 'running', 'running']);
  });

  test('what needs no setup says so, for the GPU that is asked about', async () => {
    expect((await mgpu('worker setup 0')).stdout).toMatch(/^nothing to set up: worker .*\(worker_gpu0\)\n$/);
  });

  test('counts are numbers and nothing else', async () => {
    const counts = await Promise.all(
      ['count', 'comfyui count', 'gadget count', 'redis count', 'a1111 count'].map(mgpu),
    );
    expect(counts.map(({ stdout }) => stdout)).toEqual(['2\n', '2\n', '1\n', '1\n', '0\n']);
    expect((await mgpu('nonsense count')).code).toBe(2);
  });

  test('old scripts for /etc/init.d do what is asked of the daemon', async () => {
    const out = join(box.dir, "init d'old");
    expect((await box.mgpu(['export', 'init', '--out', out])).code).toBe(0);
    // As service(8) calls them: from elsewhere, with next to nothing in the environment.
    const service = (name: string, ...args: string[]) =>
      spawnSync(join(out, name), args, { cwd: '/', env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' }, encoding: 'utf8' });
    expect(service('comfyui', 'restart', '0')).toMatchObject({ status: 0, stderr: '' });
    expect(service('worker', 'status', 'all')).toMatchObject({
      status: 0,
      stdout: expect.stringContaining('worker_gpu1'),
    });
    expect(service('nginx', 'status').status).toBe(0);
    expect(service('comfyui', 'start', '5').status).toBe(2);
    expect((await box.mgpu(['export', 'init', 'a1111', 'systemd'])).code).toBe(2);
  });

  describe('completion', () => {
    const expected = {
      'mgpu stat': ['status'],
      'mgpu stop worker': ['worker', 'worker_gpu0', 'worker_gpu1'],
      'mgpu start gadget_gpu1 gpu:': ['gpu:0', 'gpu:1'],
      'mgpu comfyui restart ': ['0', '1', 'all'],
      'mgpu gadget st': ['start', 'stop', 'status'],
      'mgpu gadg': ['gadget'],
      'mgpu comfyui setup --extra fl': ['flash-attention'],
      'mgpu restart --out': ['--outdated'],
      'mgpu nonsense ': ['start', 'stop', 'restart', 'status', 'logs', 'setup', 'count'],
      'mgpu down ': [],
    };
    const harmless = 'mgpu stop $(touch pwned) `touch pwned` all';
    const lines = Object.keys(expected);
    // How they ask is the same for all: a few lines tell whether they read the answer.
    const some = Object.entries(expected).filter(([line]) => /worker|gpu:|gadg$|down/.test(line));
    const complete = (shell: string, args: readonly string[]) => {
      const bin = join(box.dir, 'bin');
      mkdirSync(bin, { recursive: true });
      writeFileSync(join(bin, 'mgpu'), `#!/bin/sh\nexec '${process.execPath}' '${cli}' "$@"\n`, { mode: 0o755 });
      const env = { PATH: `${bin}:${process.env.PATH}`, HOME: box.dir, TERM: 'dumb' };
      const { stdout, stderr } = spawnSync(shell, args, { cwd: box.dir, env, encoding: 'utf8' });
      expect(stderr).toBe('');
      expect(spawnSync('ls', [join(box.dir, 'pwned')]).status).not.toBe(0);
      return stdout.trimEnd();
    };
    const has = (shell: string) => spawnSync(shell, ['-c', 'true']).status === 0;
    const asWords = (text: string) => text.split(/\s+/).filter(Boolean).toSorted();

    test('in bash, where a colon ends a word', () => {
      const script = `source <(mgpu completion bash)
        COMP_WORDBREAKS=$' \\t\\n"\\'><=;|&(:'
        for COMP_LINE in "$@"; do COMP_POINT=\${#COMP_LINE}; _mgpu; echo "\${COMPREPLY[*]}"; done`;
      const answers = `${complete('bash', ['--norc', '-c', script, 'bash', ...lines, harmless])}\n`.split('\n');
      for (const [index, [line, words]] of Object.entries(expected).entries()) {
        const shown = line.endsWith(':') ? words.map((each) => each.replace('gpu:', '')) : words;
        expect({ line, words: asWords(answers[index] ?? '') }).toEqual({ line, words: shown.toSorted() });
      }
    });

    test.skipIf(!has('fish'))('in fish', () => {
      const script =
        'mgpu completion fish | source; for line in $argv; complete -C "$line" | string split -f1 \\t | string join " "; echo; end';
      const answers = complete('fish', ['--no-config', '-c', script, ...some.map(([line]) => line)]).split('\n\n');
      for (const [index, [line, words]] of some.entries())
        expect({ line, words: asWords(answers[index] ?? '') }).toEqual({ line, words: words.toSorted() });
    });

    test.skipIf(!has('zsh'))('in zsh', () => {
      // What it would show is caught where it comes in.
      const script = `compdef() { :; }; source <(mgpu completion zsh)
        _describe() { local each; for each in "\${(@P)2}"; do each=\${each//\\\\:/%}; print -rn -- "\${\${each%%:*}//\\%/:} "; done; }
        for line in "$@"; do words=("\${(@z)line}"); [[ $line == *' ' ]] && words+=(''); CURRENT=$#words; _mgpu; print; done`;
      const answers =
        `${complete('zsh', ['-f', '-c', script, 'zsh', ...some.map(([line]) => line), harmless])}\n`.split('\n');
      for (const [index, [line, words]] of some.entries())
        expect({ line, words: asWords(answers[index] ?? '') }).toEqual({ line, words: words.toSorted() });
    });
  });
});

test('without a daemon counts are counted, and the rest says that none runs', async () => {
  await using box = await openBox(undefined, { gpu: { mode: 'mock', count: 3 } });
  const mgpu = (line: string) => box.mgpu(line.split(' '));
  const counts = await Promise.all(['count', 'comfyui count', 'redis count'].map(mgpu));
  expect(counts.map(({ stdout }) => stdout)).toEqual(['3\n', '3\n', '1\n']);
  const verbs = [
    'start all',
    'stop gpu:0',
    'restart --outdated',
    'status comfyui',
    'comfyui start 0',
    'gadget stop all',
  ];
  for (const { code, stderr } of await Promise.all(verbs.map(mgpu)))
    expect({ code, stderr }).toEqual({ code: 3, stderr: expect.stringContaining('CONTROL_NOT_RUNNING') });
  expect((await mgpu('comfyui setup 3')).stderr).toContain('no GPU "3"; it has 3: 0 to 2');
  expect(await mgpu('complete -- start ')).toMatchObject({ code: 0, stdout: '', stderr: '' });
});

test('an unknown command comes with the one that was meant', async () => {
  await using box = await openBox();
  const meant = {
    statsu: 'status',
    'nodes aply': 'apply',
    'comfyui strat 0': 'start',
    'ollama pul x': 'pull',
    'export innit': 'init',
  };
  for (const [line, name] of Object.entries(meant)) {
    const { code, stderr } = await box.mgpu(line.split(' '));
    expect({ line, code }).toEqual({ line, code: 2 });
    expect(stderr).toContain(`(Did you mean ${name}?)`);
  }
});
