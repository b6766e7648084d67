import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, readlink, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cpuGpu, type Logger, layoutOf, linkTree, silentLogger } from '@mgpu/core';
import { commitFiles, leasePorts, testContext, torchWheels, writeWheels } from '@mgpu/core/testing';
import { a1111Checkout } from '@mgpu/simulator';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { a1111 } from '../src/a1111.ts';
import { A1111Client } from '../src/client/a1111-client.ts';
import { a1111Schema } from '../src/config.ts';
import { helpersFor } from '../src/setup/helpers.ts';
import { writeManifest } from '../src/setup/installation.ts';
import { InstallationStore } from '../src/setup/installation-store.ts';
import { setUp } from '../src/setup/set-up.ts';

const helperNames = [
  'stable-diffusion-webui-assets',
  'stable-diffusion-stability-ai',
  'generative-models',
  'k-diffusion',
  'BLIP',
];

/** Repositories of a simulated Automatic1111 and of its helpers, and wheels of a torch that is none. */
let home: string;
let root: string;
let commit: string;
const helpers: Record<string, { repository: string; ref: string }> = {};
/** What was seen of an installation that was interrupted and gone on with, and of a copy that was broken meanwhile. */
const seen = { first: [] as string[], second: [] as string[], broken: undefined as unknown, draft: '' };

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'mgpu-a1111-setup-'));
  root = join(home, 'root');
  await writeWheels(join(home, 'wheels'), [
    ...torchWheels('2.1.2+cpu'),
    { name: 'xformers', version: '0.0.23.post1', requires: ['nothing-of-this-name'] },
    { name: 'CLIP', version: '1.0', requires: ['torch'] },
    { name: 'gradio', version: '3.41.2' },
  ]);
  const checkout = a1111Checkout({ requirements: ['torch', 'gradio==3.41.2'] });
  commit = await commitFiles(join(home, 'webui'), checkout, { tag: 'v1.10.1' });
  for (const name of helperNames) {
    const repository = join(home, 'helpers', name);
    helpers[name] = { repository, ref: await commitFiles(repository, { 'README.md': name }) };
    await commitFiles(repository, { 'README.md': 'moved on' });
  }

  const off = new AbortController();
  const steps = (into: string[]) => ({
    onProgress: ({ step, state }: { step: string; state: string }) => {
      if (state !== 'running' || into.at(-1) !== `${step} running`) into.push(`${step} ${state}`);
    },
  });
  const interrupted = setUp({
    ...settings(),
    signal: off.signal,
    onProgress: (progress) => {
      steps(seen.first).onProgress(progress);
      if (progress.step === 'requirements') off.abort(new Error('called off'));
    },
  });
  await expect(interrupted).rejects.toThrow('called off');
  const copy = join(home, 'copy');
  await linkTree(root, copy);
  const installations = join(copy, 'engines', 'a1111', 'installations');
  const [id = ''] = await readdir(installations);
  await commitFiles(join(installations, id, 'webui', 'repositories', 'BLIP'), { 'README.md': 'somebody was here' });
  seen.broken = await setUp({ ...settings(), layout: layoutOf(copy) }).catch((error) => error);
  seen.draft = await readFile(join(installations, id, 'draft.json'), 'utf8');
  await setUp({ ...settings(), ...steps(seen.second) });
}, 120_000);

afterAll(() => rm(home, { recursive: true, force: true }));

const configured = (setup: object = {}, rest: object = {}) =>
  a1111Schema.parse({
    xformers: true,
    ...rest,
    setup: {
      repository: join(home, 'webui'),
      ref: 'v1.10.1',
      helpers,
      python: 'python3',
      installer: 'pip',
      packages: { wheels: [join(home, 'wheels')], offline: true },
      torch: { index: 'packages', requirements: ['torch', 'torchvision'] },
      launcherPackages: ['CLIP'],
      ...setup,
    },
  });

function settings(setup: object = {}) {
  const config = configured(setup);
  const layout = layoutOf(root);
  return { layout, setup: config.setup, xformers: true, mode: async () => 'cpu' as const, env: process.env };
}

test('one that was interrupted is gone on with', () => {
  expect(seen.first).toEqual([
    ...['checkout running', 'checkout done', 'helpers running', 'helpers done', 'environment running'],
    ...['environment done', 'torch running', 'torch done', 'requirements running'],
  ]);
  expect(seen.second).toEqual([
    ...['checkout skipped', 'helpers skipped', 'environment skipped', 'torch skipped'],
    ...['requirements running', 'requirements done', 'verify running', 'verify done'],
  ]);
});

test('one that its own launcher does not accept is not used, and made anew the next time', () => {
  expect(seen.broken).toMatchObject({
    code: 'A1111_INSTALLATION_BROKEN',
    message: expect.stringContaining("Couldn't clone BLIP"),
  });
  expect(JSON.parse(seen.draft)).toMatchObject({ done: [] });
});

test('it is known by what it is made of: pinned helpers, its own torch, and what the launcher would fetch', async () => {
  const store = new InstallationStore(layoutOf(root));
  const current = await store.current();
  expect(current).toMatchObject({
    commit,
    torchIndex: 'packages',
    packages: { torch: '2.1.2+cpu', torchvision: '2.1.2+cpu', clip: '1.0', gradio: '3.41.2', xformers: '0.0.23.post1' },
    helpers: Object.fromEntries(helperNames.map((name) => [name, helpers[name]?.ref])),
  });
  expect(await readlink(join(store.dir, 'current'))).toBe(`installations/${current?.id}`);
  expect(current?.id).toMatch(new RegExp(`^${commit.slice(0, 7)}-[0-9a-f]{8}$`));
});

/** A machine's install step and an instance, on the root of all these tests. */
async function machine(options: { log?: Logger; setup?: object } = {}) {
  const ports = await leasePorts(1);
  const { log = silentLogger } = options;
  const context = testContext({ kind: 'a1111', gpu: cpuGpu(0), root, log });
  const config = configured(options.setup, { basePort: ports.first, cpu: true });
  const { layout, env, clock, machine: view } = context;
  return {
    config,
    context,
    install: () =>
      a1111.install?.({ layout, env, clock, machine: view, log, signal: new AbortController().signal }, config),
    [Symbol.dispose]: () => ports[Symbol.dispose](),
  };
}

test('a start of the machine, and of an instance, needs no network any more', async () => {
  await rename(join(home, 'webui'), join(home, 'webui-gone'));
  await rename(join(home, 'helpers'), join(home, 'helpers-gone'));
  await rename(join(home, 'wheels'), join(home, 'wheels-gone'));
  try {
    using box = await machine();
    await box.install();
    await using service = a1111.create(box.config, box.context);
    await service.start();
    await using client = new A1111Client(service.endpoint ?? '');
    const { images } = await client.txt2img({ steps: 1, width: 64, height: 64 });
    expect(images).toHaveLength(1);
    const { layout, env } = box.context;
    expect(await a1111.doctor?.(box.config, { layout, env })).toMatchObject([
      { level: 'ok', message: expect.stringContaining('torch 2.1.2+cpu') },
    ]);
  } finally {
    for (const name of ['webui', 'helpers', 'wheels']) await rename(join(home, `${name}-gone`), join(home, name));
  }
});

test('what extensions need is installed once, and again when they have changed', async () => {
  const told: string[] = [];
  const log = {
    ...silentLogger,
    info: (text: string) => void told.push(text),
    warn: (text: string) => void told.push(text),
  };
  const extension = join(root, 'shared', 'a1111', 'extensions', 'my-extension');
  await mkdir(extension, { recursive: true });
  const installer = (word: string) => `
import os, torch, sys
assert os.path.isfile(os.path.join(os.environ["PYTHONPATH"], "launch.py"))
open(os.path.join(os.path.dirname(__file__), "ran"), "a").write("${word} ")
sys.exit(${word === 'fails' ? 1 : 0})
`;
  using box = await machine({ log });
  for (const word of ['one', 'one', 'two', 'fails', 'fails', 'three']) {
    await writeFile(join(extension, 'install.py'), installer(word));
    await box.install();
  }
  expect(await readFile(join(extension, 'ran'), 'utf8')).toBe('one two fails fails three ');
  expect(told.filter((text) => text.includes('could not install'))).toHaveLength(2);
});

test('a branch is looked up again only when that is asked for', async () => {
  const store = new InstallationStore(layoutOf(root));
  const before = await store.current();
  const again = await setUp({ ...settings(), update: true });
  expect(again).toMatchObject({ changed: false, installation: { id: before?.id } });
  await expect(setUp(settings({ ref: 'no-such-branch' }))).rejects.toMatchObject({ code: 'CORE_GIT_REF' });
  await expect(setUp(settings({ ref: commit.slice(0, 8) }))).rejects.toMatchObject({ code: 'A1111_REF_UNCLEAR' });
  expect((await store.current())?.id).toBe(before?.id);
});

test('two at once: the second is refused', async () => {
  using _ = await new InstallationStore(layoutOf(root)).lock();
  await expect(setUp(settings())).rejects.toMatchObject({ code: 'CORE_FOLDER_BUSY' });
});

test('of former installations one stays to go back to, and what a process runs from', async () => {
  const store = new InstallationStore(layoutOf(root));
  const current = await store.current();
  if (!current) throw new Error('nothing is installed');
  const ids = ['1111111-00000000', '2222222-00000000', '3333333-00000000'];
  for (const [age, id] of ids.entries()) {
    await mkdir(join(store.folder(id), 'webui'), { recursive: true });
    const { id: _id, dir: _dir, ...manifest } = current;
    await writeManifest(store.folder(id), { ...manifest, createdAt: `2020-01-0${age + 1}T00:00:00.000Z` });
  }
  await mkdir(store.folder('4444444-00000000')); // one that was begun
  await mkdir(store.folder('.5555555-00000000.grave')); // a removal that was interrupted
  await mkdir(store.folder('of-the-user'));
  const [oldest] = ids.map((id) => ({ ...current, id, dir: store.folder(id) }));
  await store.activate(oldest ?? current);
  await store.activate(current);
  const engine = spawn('sleep', ['1000'], { cwd: join(store.folder('2222222-00000000'), 'webui') });
  try {
    await once(engine, 'spawn');
    const lock = await store.lock();
    await expect(store.prune()).rejects.toMatchObject({ code: 'CORE_FOLDER_BUSY' });
    lock[Symbol.dispose]();
    using box = await machine();
    await box.install();
    const left = async () => (await readdir(join(store.dir, 'installations'))).toSorted();
    expect(await left()).toEqual(['1111111-00000000', '2222222-00000000', current.id, 'of-the-user'].toSorted());
    engine.kill();
    await once(engine, 'exit');
    await box.install();
    expect(await left()).toEqual(['1111111-00000000', current.id, 'of-the-user'].toSorted());
    expect((await store.current())?.id).toBe(current.id);
  } finally {
    engine.kill();
  }
});

test('models come from a repository where there are none; a failure is a warning', async () => {
  const repository = join(home, 'models');
  await commitFiles(repository, { 'Stable-diffusion/tiny.safetensors': 'weights' });
  const warnings: string[] = [];
  const log = { ...silentLogger, warn: (text: string) => void warnings.push(text) };
  await rm(join(root, 'shared', 'sd_models'), { recursive: true, force: true });
  using lost = await machine({ log, setup: { models: { repository: join(home, 'nowhere'), ref: 'main' } } });
  await lost.install();
  expect(warnings).toEqual([expect.stringContaining(`no models from ${join(home, 'nowhere')}`)]);
  await rm(join(root, 'shared', 'sd_models'), { recursive: true, force: true });
  using box = await machine({ log, setup: { models: { repository, ref: 'main' } } });
  await box.install();
  const file = join(root, 'shared', 'sd_models', 'Stable-diffusion', 'tiny.safetensors');
  expect(await readFile(file, 'utf8')).toBe('weights');
  await writeFile(file, 'other weights');
  await box.install();
  expect(await readFile(file, 'utf8')).toBe('other weights');
});

test('Forge wants other helpers, and all are pinned', async () => {
  const dir = join(home, 'forge');
  await mkdir(join(dir, 'modules_forge'), { recursive: true });
  const [webui, forge] = [await helpersFor(join(home, 'webui')), await helpersFor(dir)];
  expect(Object.keys(webui)).toEqual(helperNames);
  expect(Object.keys(forge)).toEqual(['stable-diffusion-webui-assets', 'huggingface_guess', 'BLIP']);
  for (const { ref } of Object.values({ ...webui, ...forge })) expect(ref).toMatch(/^[0-9a-f]{40}$/);
});
