import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, readlink, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { changeNodes, type Fleet, GenerationStore, type RunningEngine, rollBack, setUp } from '@mgpu/comfyui/setup';
import { cpuGpu, layoutOf, linkTree } from '@mgpu/core';
import { commitFiles, leasePorts, testContext, torchWheels, writeWheels } from '@mgpu/core/testing';
import { comfyuiCheckout } from '@mgpu/simulator';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ComfyUIClient } from '../src/client/comfyui-client.ts';
import { ComfyUIService } from '../src/comfyui-service.ts';
import { comfyuiSchema } from '../src/config.ts';

const nobody: Fleet = { engines: async () => [], move: async () => {} };

/** A repository of a simulated ComfyUI, wheels of a torch that is none, and a root where its first version is set up. */
let home: string;
let first: string;

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'mgpu-generations-'));
  await writeWheels(join(home, 'wheels'), [
    ...torchWheels(),
    { name: 'einops', version: '0.8.0' },
    { name: 'einops', version: '0.9.0' },
    { name: 'flash-attn', version: '2.8.3', requires: ['torch', 'einops'] },
  ]);
  first = await release('0.26.0', { requirements: ['torch', 'torchvision', 'torchaudio', 'einops==0.8.0'] });
  await commitFiles(join(home, 'ComfyUI'), {}, { tag: 'v0.26.0' });
  await setUp(settings(join(home, 'base')));
}, 60_000);

afterAll(() => rm(home, { recursive: true, force: true }));

/** A commit of a version that `BREAKS` and `HIDES` can keep from starting, or from having custom nodes. */
function release(version: string, { requirements }: { requirements?: string[] } = {}) {
  const checkout = comfyuiCheckout({ version, ...(requirements ? { requirements } : {}) });
  const main = checkout['main.py']?.replace(
    'simulation =',
    `if os.environ.get("BREAKS") == __version__:
    sys.exit("out of order")
if os.environ.get("HIDES") == __version__:
    sys.argv.append("--disable-all-custom-nodes")
simulation =`,
  );
  return commitFiles(join(home, 'ComfyUI'), { ...checkout, 'main.py': main ?? '' }, { message: version });
}

function settings(root: string, setup: object = {}, services: object = {}) {
  const config = comfyuiSchema.parse({
    setup: {
      repository: join(home, 'ComfyUI'),
      ref: first,
      installer: 'pip',
      packages: { wheels: [join(home, 'wheels')], offline: true },
      torch: { index: 'packages' },
      ...setup,
    },
    ...services,
  });
  const { startDeadlineMs } = config;
  return {
    layout: layoutOf(root),
    setup: config.setup,
    mode: async () => 'cpu' as const,
    env: process.env,
    startDeadlineMs,
    fleet: nobody,
  };
}

/** A root of one's own with the first version in it. */
async function oneRoot() {
  const root = join(home, `root-${randomUUID()}`);
  await linkTree(join(home, 'base'), root);
  const store = new GenerationStore(layoutOf(root));
  return { root, store, [Symbol.asyncDispose]: () => rm(root, { recursive: true, force: true }) };
}

test('the first one: whole, in force, and known by what it is made of', async () => {
  const store = new GenerationStore(layoutOf(join(home, 'base')));
  const current = await store.current();
  expect(current).toMatchObject({
    id: `0001-${first.slice(0, 7)}`,
    recipe: { commit: first, torchIndex: 'packages' },
    version: '0.26.0',
    packages: { torch: '2.9.0+cpu', einops: '0.8.0' },
    nodeClasses: { EmptyImage: 'nodes' },
    brokenNodes: [],
  });
  expect(await readlink(join(store.dir, 'current'))).toBe(`generations/${current?.id}`);
  expect(await store.drafts()).toEqual([]);
});

test('a second time there is nothing to do, and the network is not asked', async () => {
  await using machine = await oneRoot();
  await rename(join(home, 'ComfyUI'), join(home, 'gone'));
  try {
    const options = settings(machine.root);
    expect(await setUp({ ...options, setup: { ...options.setup, repository: join(home, 'ComfyUI') } })).toMatchObject({
      changed: false,
      generation: { id: `0001-${first.slice(0, 7)}` },
    });
  } finally {
    await rename(join(home, 'gone'), join(home, 'ComfyUI'));
  }
});

test('killed at five moments it leaves no half-made one in force, and is gone on with each time', async () => {
  const root = await mkdtemp(join(home, 'root-'));
  const { fleet: _, env: __, mode: ___, ...options } = settings(root);
  const store = new GenerationStore(options.layout);
  for (const step of ['checkout', 'environment', 'torch', 'requirements', 'verify']) {
    expect(await setUpUntil(step, options)).toEqual([`${step} running`, 'SIGKILL']);
    expect(await store.current()).toBeUndefined();
    expect(await store.drafts()).toHaveLength(1);
  }
  const skipped: string[] = [];
  const { generation } = await setUp({
    ...settings(root),
    onProgress: ({ step, state }) => void (state === 'skipped' && skipped.push(step)),
  });
  expect(skipped).toEqual(['checkout', 'environment', 'torch', 'requirements', 'extras', 'nodes']);
  expect(await store.drafts()).toEqual([]);
  expect(await store.current()).toEqual(generation);
}, 60_000);

/** Sets up in a process that is killed as it begins with a step; what it said last, and how it ended. */
async function setUpUntil(step: string, options: object): Promise<unknown> {
  const script = join(import.meta.dirname, 'fixtures/set-up.mjs');
  const child = spawn(process.execPath, [script, JSON.stringify(options)], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(child, 'exit');
  let last = '';
  for await (const line of createInterface({ input: child.stdout })) {
    last = line;
    if (line === `${step} running`) child.kill('SIGKILL');
  }
  return [last, (await ended)[1]];
}

/** Two running instances on one root, moved as a machine would move them. */
async function twoEngines(root: string, env: (gpu: number) => Record<string, string> = () => ({})) {
  const lease = await leasePorts(2);
  const layout = layoutOf(root);
  const services = [0, 1].map((gpu) => {
    const context = testContext({ kind: 'comfyui', gpu: cpuGpu(gpu), root, env: { ...process.env, ...env(gpu) } });
    return new ComfyUIService({ port: lease.first + gpu }, context);
  });
  const engines = services.map(
    (each): RunningEngine => ({
      id: each.id,
      url: each.endpoint.url,
      logFile: join(layout.instance(each.id), 'logs', 'output.log'),
    }),
  );
  const moves: string[] = [];
  const fleet: Fleet = {
    engines: async () => engines,
    async move({ id }, check) {
      const service = services.find((each) => each.id === id);
      await service?.restart();
      await check();
      moves.push(id);
    },
  };
  await Promise.all(services.map((each) => each.start()));
  const versions = () =>
    Promise.all(
      engines.map(async ({ url }) => {
        await using client = new ComfyUIClient(url);
        return (await client.systemStats()).system.comfyui_version;
      }),
    );
  return {
    fleet,
    moves,
    versions,
    async [Symbol.asyncDispose]() {
      await Promise.all(services.map((each) => each.stop({ force: true })));
      lease[Symbol.dispose]();
    },
  };
}

const links = ({ dir }: GenerationStore) => readdir(dir);

describe('the next one', () => {
  let next: string;
  /** A root where it has followed the first one, for tests that only look at both. */
  let updated: Awaited<ReturnType<typeof oneRoot>>;
  beforeAll(async () => {
    next = await release('0.27.0', { requirements: ['torch', 'torchvision', 'torchaudio', 'einops==0.9.0'] });
    updated = await oneRoot();
    await setUp(settings(updated.root, { ref: next }));
  }, 60_000);

  test('comes to one instance, then to the others, and back in one step', async () => {
    await using machine = await oneRoot();
    await using engines = await twoEngines(machine.root);
    // The second becomes ready only when the first has moved.
    const late = async () => (await engines.fleet.engines()).slice(0, engines.moves.length + 1);
    const fleet = { ...engines.fleet, engines: late };
    const { generation, changed } = await setUp({ ...settings(machine.root, { ref: next }), fleet });
    expect(changed).toBe(true);
    expect(engines.moves).toEqual(['comfyui_gpu0', 'comfyui_gpu1']);
    expect(await engines.versions()).toEqual(['0.27.0', '0.27.0']);
    expect(await machine.store.current()).toMatchObject({ id: generation.id, packages: { einops: '0.9.0' } });
    expect(await links(machine.store)).not.toContain('comfyui_gpu0');
    const former = await rollBack(machine.store, engines.fleet);
    expect(former.recipe.commit).toBe(first);
    expect(await engines.versions()).toEqual(['0.26.0', '0.26.0']);
    expect((await machine.store.current())?.id).toBe(former.id);
    expect((await rollBack(machine.store, engines.fleet)).id).toBe(generation.id);
  });

  test('is tried by an instance only as long as the command lives that tries it', async () => {
    const { store } = updated;
    const [former, generation] = await store.list();
    if (!former || !generation) throw new Error('there are two');
    expect(await store.current()).toEqual(generation);
    const tried = async () => (await store.current('comfyui_gpu0'))?.id;
    await store.try('comfyui_gpu0', former);
    expect(await tried()).toBe(generation.id); // whoever began it was killed
    {
      using _ = await store.lock();
      expect(await tried()).toBe(former.id);
    }
    await store.prune(2);
    expect(await links(store)).not.toContain('comfyui_gpu0');
  });

  test('has the files that have not changed in common with the one before', async () => {
    const [before, generation] = await updated.store.list();
    const torch = async (dir = '') => {
      const lib = join(dir, 'venv', 'lib');
      const [python = ''] = await readdir(lib);
      return (await stat(join(lib, python, 'site-packages', 'torch', '__init__.py'))).ino;
    };
    expect(await torch(generation?.dir)).toBe(await torch(before?.dir));
    expect(before?.packages.einops).toBe('0.8.0');
    expect(await readFile(join(before?.dir ?? '', 'ComfyUI', 'comfyui_version.py'), 'utf8')).toContain('0.26.0');
    const script = await readFile(join(generation?.dir ?? '', 'venv', 'bin', 'pip'), 'utf8');
    expect(script.split('\n')[0]).toBe(`#!${generation?.dir}/venv/bin/python3`);
  });

  test.each([
    ['does not start', { BREAKS: '0.27.0' }, 'out of order'],
    [
      'lacks node classes',
      { HIDES: '0.27.0' },
      '2 of its node classes are missing, among them SaveImageWebsocket, SlowNode',
    ],
  ])('that %s on one instance brings all back', async (_, trouble, reason) => {
    await using machine = await oneRoot();
    await using engines = await twoEngines(machine.root, (gpu) => (gpu === 1 ? trouble : {}));
    const steps: string[] = [];
    const attempt = setUp({
      ...settings(machine.root, { ref: next }),
      fleet: engines.fleet,
      onInstance: ({ instance, state }) => void steps.push(`${instance} ${state}`),
    });
    await expect(attempt).rejects.toMatchObject({
      code: 'COMFYUI_ROLL_OUT_FAILED',
      message: expect.stringContaining(reason),
      details: { instance: 'comfyui_gpu1' },
    });
    expect(steps.slice(0, 4)).toEqual([
      'comfyui_gpu0 moving',
      'comfyui_gpu0 moved',
      'comfyui_gpu1 moving',
      'comfyui_gpu1 failed',
    ]);
    expect(steps.slice(4).toSorted()).toEqual(['comfyui_gpu0 back', 'comfyui_gpu1 back']);
    expect(await engines.versions()).toEqual(['0.26.0', '0.26.0']);
    expect((await machine.store.current())?.recipe.commit).toBe(first);
    expect(await links(machine.store)).not.toContain('comfyui_gpu0');
  });

  test('that was called off in the middle brings all back', async () => {
    await using machine = await oneRoot();
    await using engines = await twoEngines(machine.root);
    const off = new AbortController();
    const attempt = setUp({
      ...settings(machine.root, { ref: next }),
      fleet: engines.fleet,
      signal: off.signal,
      onInstance: ({ state }) => void (state === 'moved' && off.abort(new Error('enough'))),
    });
    await expect(attempt).rejects.toThrow('enough');
    expect(await engines.versions()).toEqual(['0.26.0', '0.26.0']);
    expect((await machine.store.current())?.recipe.commit).toBe(first);
  });
});

test('flash attention comes with a generation of its own, beside the one that is in force', async () => {
  await using machine = await oneRoot();
  const before = await machine.store.current();
  expect(before?.packages).not.toHaveProperty('flash-attn');
  const steps: string[] = [];
  const { generation } = await setUp({
    ...settings(machine.root, { extras: ['flash-attention'] }),
    onProgress: ({ step, state }) => void steps.push(`${step} ${state}`),
  });
  expect(steps).toEqual(expect.arrayContaining(['extras running', 'extras done', 'verify done']));
  expect(generation).toMatchObject({ recipe: { commit: first }, packages: { 'flash-attn': '2.8.3' } });
  expect((await machine.store.current())?.id).toBe(generation.id);
  expect((await machine.store.previous())?.packages).not.toHaveProperty('flash-attn');
});

test('one that cannot be started is not used, and says why', async () => {
  await using machine = await oneRoot();
  const broken = await commitFiles(join(home, 'ComfyUI'), { 'main.py': 'import nowhere\n' });
  await expect(setUp(settings(machine.root, { ref: broken }))).rejects.toMatchObject({
    code: 'COMFYUI_GENERATION_BROKEN',
    message: expect.stringContaining("No module named 'nowhere'"),
  });
  expect((await machine.store.current())?.recipe.commit).toBe(first);
});

test('custom nodes come with a generation of their own; those that cannot be imported end it', async () => {
  await using machine = await oneRoot();
  const pack = (name: string, script: object) => ({
    request: `add ${name}`,
    async apply({ nodes }: { nodes: string }) {
      await mkdir(join(nodes, name), { recursive: true });
      await writeFile(join(nodes, name, 'simulator.json'), JSON.stringify(script));
      return `with ${name}`;
    },
  });
  const bad = pack('bad', { fails: "ModuleNotFoundError: No module named 'nowhere'" });
  await expect(changeNodes({ ...settings(machine.root), nodes: bad })).rejects.toMatchObject({
    code: 'COMFYUI_GENERATION_BROKEN',
    message: expect.stringContaining("bad (ModuleNotFoundError: No module named 'nowhere')"),
  });
  expect(await machine.store.drafts()).toHaveLength(1);
  const good = await changeNodes({ ...settings(machine.root), nodes: pack('good', { nodes: ['GoodNode'] }) });
  expect(good).toMatchObject({ parent: `0001-${first.slice(0, 7)}`, nodeClasses: { GoodNode: 'custom_nodes.good' } });
  expect(good?.nodeClasses).not.toHaveProperty('bad');
  // Called off when it was made and not proved yet: the next one finds nothing more to do, and it comes all the same.
  const off = new AbortController();
  const later = pack('later', { nodes: ['LaterNode'] });
  const interrupted = changeNodes({
    ...settings(machine.root),
    nodes: later,
    signal: off.signal,
    onProgress: ({ step }) => void (step === 'verify' && off.abort(new Error('enough'))),
  });
  await expect(interrupted).rejects.toThrow('enough');
  const again = { ...later, apply: async () => undefined };
  const third = await changeNodes({ ...settings(machine.root), nodes: again });
  expect(third).toMatchObject({ recipe: { nodes: 'with later' }, nodeClasses: { LaterNode: 'custom_nodes.later' } });
  // The next version has them as well, and what is set up already stays.
  expect(await setUp(settings(machine.root))).toMatchObject({ changed: false, generation: { id: third?.id } });
  expect(await machine.store.prune(3)).toHaveLength(1);
});

test('two at once: the second is refused', async () => {
  await using machine = await oneRoot();
  using _ = await machine.store.lock();
  await expect(setUp(settings(machine.root))).rejects.toMatchObject({ code: 'CORE_FOLDER_BUSY' });
});

test('those in use are not removed; others are, and what names them is told', async () => {
  await using machine = await oneRoot();
  const { generation } = await setUp(settings(machine.root, { ref: await release('0.28.0') }));
  const [old] = await machine.store.list();
  await expect(machine.store.remove(generation.id)).rejects.toMatchObject({ code: 'COMFYUI_GENERATION_IN_USE' });
  await expect(machine.store.find('0009')).rejects.toMatchObject({ code: 'COMFYUI_GENERATION_UNKNOWN' });
  expect((await machine.store.find('1')).id).toBe(old?.id);
  expect(await machine.store.prune(2)).toEqual([]);
  expect(await machine.store.prune(0)).toEqual([old?.id]);
  expect((await machine.store.list()).map(({ id }) => id)).toEqual([generation.id]);
  expect(await machine.store.previous()).toBeUndefined();
  await expect(rollBack(machine.store, nobody)).rejects.toMatchObject({ code: 'COMFYUI_NO_PREVIOUS_GENERATION' });
});

test.each([
  [{ ref: '--upload-pack=touch' }, 'CORE_GIT_REF'],
  [{ ref: 'nosuch' }, 'CORE_GIT_REF'],
  [{ ref: 'abcdef1' }, 'COMFYUI_REF_UNCLEAR'],
  [{ repository: '-o' }, 'CORE_GIT_URL'],
  [{ repository: '/nowhere/at/all' }, 'CORE_GIT_REPOSITORY'],
  [{ python: 'python9' }, 'CORE_PYTHON_MISSING'],
])('what cannot be had is refused in one sentence: %j', async (setup, code) => {
  const root = await mkdtemp(join(home, 'root-'));
  await expect(setUp(settings(root, setup))).rejects.toMatchObject({ code });
});
