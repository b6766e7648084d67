import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { ControlClient, socketPathOf } from '@mgpu/control';
import { type ErrorReport, type InstanceStatus, type JobStatus, layoutOf, linkTree } from '@mgpu/core';
import { commitFiles, writeWheels } from '@mgpu/core/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type FreshBox, openFreshBox } from './fresh-box.ts';
import { type Box, invertWorkflow, statusOf } from './support.ts';

/** What the nodes of each instance are, of those that a test made up. */
async function offered(box: Box, name: string): Promise<boolean[]> {
  const { instances } = await statusOf(box);
  return Promise.all(
    instances
      .filter(({ kind }) => kind === 'comfyui')
      .map(
        async ({ endpoint = '' }) => name in ((await (await fetch(new URL('object_info', endpoint))).json()) as object),
      ),
  );
}

async function workerIs(box: Box, isSo: (worker: InstanceStatus) => boolean | undefined): Promise<void> {
  await using client = new ControlClient({ socketPath: socketPathOf(layoutOf(box.root)) });
  for await (const event of client.events()) {
    const news = event.event === 'snapshot' ? event.data.instances : event.event === 'instance' ? [event.data] : [];
    if (news.some((each) => each.id === 'worker_gpu0' && isSo(each))) return;
  }
}

const pack = (box: Box, name: string, script: object, files: Readonly<Record<string, string>> = {}) =>
  commitFiles(join(box.dir, name), { 'simulator.json': JSON.stringify(script), '__init__.py': '', ...files });

/** The picture goes through a node of a pack. */
const throughNode = (node: string) => ({
  '1': { class_type: 'EmptyImage', inputs: { width: 64, height: 48, batch_size: 1, color: 0x112233 } },
  '2': { class_type: node, inputs: { image: ['1', 0] } },
  '3': { class_type: 'SaveImage', inputs: { images: ['2', 0], filename_prefix: 'test/through' } },
});

/** Where ComfyUI was set up once for all tests, and the commit that it has. */
let home: FreshBox;
let engine: string;
beforeAll(async () => {
  home = await openFreshBox();
  engine = await home.release('0.26.0');
  expect((await home.mgpu(['comfyui', 'setup'])).code).toBe(0);
}, 120_000);
afterAll(() => home[Symbol.asyncDispose]());

/** As `mgpu comfyui setup` would, whose own test is another. */
async function setUp(box: Box): Promise<void> {
  await mkdir(box.root, { recursive: true });
  await linkTree(join(home.root, 'engines'), join(box.root, 'engines'));
}

test('packs come to a running machine, one instance first, are used, and go again', { timeout: 180_000 }, async () => {
  await using box = await home.sibling();
  await writeWheels(join(home.dir, 'wheels'), [
    { name: 'tidy', version: '1.0' },
    { name: 'tidy', version: '2.0' },
    { name: 'torch', version: '1.0' },
  ]);
  await pack(box, 'echo', { nodes: ['EchoPicture'] }, { 'requirements.txt': 'tidy==1.0\ntorch\n' });
  await pack(box, 'broken', { fails: "ModuleNotFoundError: No module named 'nowhere'" });
  await pack(box, 'greedy', { nodes: ['Greedy'] }, { 'requirements.txt': 'torch==1.0\n' });
  const list = join(box.root, 'shared', 'config_nodes.json');

  expect((await box.mgpu(['nodes', 'add', join(box.dir, 'echo')])).stderr).toContain('COMFYUI_NO_GENERATION');
  await setUp(box);
  expect((await box.mgpu(['nodes', 'plan'])).stderr).toContain('MACHINE_NODE_LIST');

  // What the list says is there before the first engine starts.
  await mkdir(join(box.root, 'shared'), { recursive: true });
  // biome-ignore lint/suspicious/noTemplateCurlyInString: it is filled in by the list's own rule
  const echo = { name: 'echo', url: join(box.dir, 'echo'), env: { TOKEN: '${HF_TOKEN}' } };
  writeFileSync(list, JSON.stringify({ custom_nodes: [echo] }));
  const token = { HF_TOKEN: 'hf_secret' };
  const up = await box.mgpu(['up', '--detach'], token);
  expect(up.stdout).toMatch(/✔ custom nodes/);
  expect(up.code).toBe(0);
  expect(await offered(box, 'EchoPicture')).toEqual([true, true]);
  const dotenv = join(box.root, 'engines/comfyui/current/ComfyUI/custom_nodes/echo/.env');
  expect(readFileSync(dotenv, 'utf8')).toBe('TOKEN=hf_secret\n');
  const workflow = await box.writeJson('through.json', throughNode('EchoPicture'));
  expect((await box.mgpu(['run', workflow, '--json'])).json<JobStatus>().data.state).toBe('completed');
  const settled = await box.mgpu(['nodes', 'apply'], token);
  expect(settled.stdout).toContain('1 node: 1 as they should be');

  const lock = join(box.dir, 'brought.json');
  writeFileSync(lock, (await box.mgpu(['nodes', 'lock'])).stdout);
  await commitFiles(join(box.dir, 'echo'), {
    'simulator.json': JSON.stringify({ nodes: ['EchoPicture', 'EchoTwice'] }),
  });
  expect((await box.mgpu(['nodes', 'plan'])).stdout).toMatch(/echo +update +\w{7} → \w{7}/);
  expect((await box.mgpu(['nodes', 'plan', '--locked', lock])).stdout).not.toContain('update');
  expect((await box.mgpu(['nodes', 'plan', '--locked', `${lock}.gone`])).stderr).toContain('NODES_LOCK_MISSING');
  // Killed while it moves the first one: that one's worker comes back, and the same command again does it all.
  const killed = box.start(['nodes', 'update', 'echo']);
  await workerIs(box, ({ state, reason }) => state === 'blocked' && reason?.message.includes('is held'));
  killed.kill('SIGKILL');
  await workerIs(box, ({ state }) => state === 'running');
  const updated = await box.mgpu(['nodes', 'update', 'echo']);
  expect(updated.stderr).toBe('');
  expect(updated.stdout).toMatch(/✔ comfyui_gpu0(?:.|\n)*✔ comfyui_gpu1(?:.|\n)*echo +updated/);
  expect(await offered(box, 'EchoTwice')).toEqual([true, true]);

  const broken = await box.mgpu(['nodes', 'add', join(box.dir, 'broken')]);
  expect(broken.code).toBe(1);
  expect(broken.stderr).toContain("broken (ModuleNotFoundError: No module named 'nowhere')");
  const greedy = await box.mgpu(['nodes', 'add', join(box.dir, 'greedy'), '--json']);
  expect(greedy.code).toBe(1);
  const { nodes } = greedy.json<{ nodes: { name: string; error?: ErrorReport }[] }>().data;
  expect(nodes.find(({ name }) => name === 'greedy')?.error).toMatchObject({
    code: 'NODES_PROTECTED',
    message: expect.stringContaining('torch'),
  });
  expect(readFileSync(list, 'utf8')).not.toMatch(/broken|greedy/);
  expect(await offered(box, 'EchoTwice')).toEqual([true, true]);
  expect(await offered(box, 'Greedy')).toEqual([false, false]);

  expect((await box.mgpu(['nodes', 'disable', 'echo'])).stdout).toMatch(/echo +disabled/);
  expect(await offered(box, 'EchoPicture')).toEqual([false, false]);
  expect((await box.mgpu(['nodes', 'ls'])).stdout).toMatch(/echo +\w{7} +disabled/);
  expect((await box.mgpu(['nodes', 'enable', 'echo'])).code).toBe(0);
  expect(await offered(box, 'EchoPicture')).toEqual([true, true]);
  expect((await box.mgpu(['nodes', 'remove', 'echo'])).stdout).toMatch(/echo +removed/);
  expect(await offered(box, 'EchoPicture')).toEqual([false, false]);
  expect((await box.mgpu(['nodes', 'rollback'])).code).toBe(0);
  expect(await offered(box, 'EchoPicture')).toEqual([true, true]);
  expect(JSON.parse(readFileSync(list, 'utf8'))).toEqual({ custom_nodes: [] });
  expect((await box.mgpu(['run', await box.writeJson('invert.json', invertWorkflow()), '--json'])).code).toBe(0);
});

test('a snapshot of the Manager is restored to its commits, and what differs is said', {
  timeout: 120_000,
}, async () => {
  await using box = await home.sibling();
  await setUp(box);
  const newer = await box.release('0.27.0');
  const old = await pack(box, 'echo', { nodes: ['EchoPicture'] });
  await pack(box, 'echo', { nodes: ['EchoTwice'] });
  const snapshot = (more: object) =>
    box.writeJson('snapshot.json', {
      comfyui: engine,
      git_custom_nodes: { [join(box.dir, 'echo')]: { hash: old, disabled: false } },
      file_custom_nodes: [],
      ...more,
    });
  const whole = await box.mgpu(['nodes', 'restore', await snapshot({ pips: { 'torch==2.9.0+cpu': '' } })]);
  expect(whole.stderr).toBe('');
  expect(whole.code).toBe(0);
  const nodes = (await box.mgpu(['nodes', 'ls', '--json'])).json<{ name: string; commit: string }[]>().data;
  expect(nodes).toMatchObject([{ name: 'echo', commit: old }]);
  expect((await box.mgpu(['comfyui', 'generations'])).stdout).toMatch(/0002-\w+ +0\.26\.0 .*in force/);
  // The engine's commit alone is a change, too.
  expect((await box.mgpu(['nodes', 'restore', await snapshot({ comfyui: newer })])).stderr).toBe('');
  expect((await box.mgpu(['comfyui', 'generations'])).stdout).toMatch(/0003-\w+ +0\.27\.0 .*in force/);
  const partly = await box.mgpu(['nodes', 'restore', await snapshot({ cnr_custom_nodes: { 'some-pack': '1.2.3' } })]);
  expect(partly.code).toBe(1);
  expect(partly.stderr).toContain('some-pack: version 1.2.3 of the registry is not restored');
  expect(existsSync(join(box.root, 'shared', 'config_nodes.json'))).toBe(false);
});
