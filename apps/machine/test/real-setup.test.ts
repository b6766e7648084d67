import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, readlinkSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { MachineStatus } from '@mgpu/control';
import { type JobStatus, runCommand } from '@mgpu/core';
import { commitFiles } from '@mgpu/core/testing';
import { decode } from 'fast-png';
import { expect, test } from 'vitest';
import { invertWorkflow, openBox } from './support.ts';

// A real ComfyUI from nothing: gigabytes and minutes. MGPU_REAL_SETUP is a repository, MGPU_REAL_SETUP_REFS two commits of it,
// the older one first, MGPU_REAL_SETUP_TORCH an index (default: that of all other packages), MGPU_REAL_SETUP_PACKAGES the torch
// family where the newest ones of that index do not fit each other.
const { MGPU_REAL_SETUP: repository, MGPU_REAL_SETUP_REFS: refs = '', MGPU_REAL_SETUP_TORCH: index } = process.env;
const family = process.env.MGPU_REAL_SETUP_PACKAGES?.split(' ');
const [older, newer] = refs.split(' ');
const patienceMs = 3_600_000;

const cli = join(import.meta.dirname, '../bin/mgpu.js');

const node = `class GatedEcho:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"image": ("IMAGE",)}}

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "run"
    CATEGORY = "test"

    def run(self, image):
        return (image,)


NODE_CLASS_MAPPINGS = {"GatedEcho": GatedEcho}
`;

test.skipIf(!repository)(
  'a real ComfyUI from nothing, killed five times, updated and rolled back',
  { timeout: patienceMs },
  async () => {
    await using folder = await temporary();
    await using box = await openBox(
      () => ({
        comfyui: {
          startDeadlineMs: 300_000,
          setup: {
            repository,
            ref: older,
            packages: {},
            torch: { index: index ?? 'packages', ...(family ? { requirements: family } : {}) },
          },
        },
      }),
      { gpu: { mode: 'cpu', count: 2 } },
    );
    const env = { ...(process.env as Record<string, string>) };
    const timed = async (what: string, ...args: string[]) => {
      const began = performance.now();
      const ended = await box.mgpu(args, env);
      console.log(`${what}: ${((performance.now() - began) / 1_000).toFixed(1)} s`);
      return ended;
    };
    for (const step of ['checkout', 'environment', 'torch', 'requirements', 'verification']) {
      const pid = await killedIn(step, box.dir, env);
      expect(pid, `killed in ${step}`).toBeGreaterThan(0);
      expect(() => readlinkSync(join(box.root, 'engines/comfyui/current'))).toThrow();
    }
    const installed = await timed('install, the rest of it', 'comfyui', 'setup');
    expect(installed.stderr).toBe('');
    expect(installed.code).toBe(0);
    console.log(installed.stdout);
    expect((await timed('nothing to do', 'comfyui', 'setup')).stdout).toContain('is there already');
    const size = async (...paths: string[]) =>
      (await runCommand('du', ['-shc', ...paths], { cwd: join(box.root, 'engines/comfyui'), timeoutMs: 120_000 }))
        .stdout;
    console.log(await size('generations', 'cache'));

    expect((await timed('boot', 'up', '--detach')).code).toBe(0);
    const workflow = await box.writeJson('invert.json', invertWorkflow());
    const { result } = (await timed('picture', 'run', workflow, '--json')).json<JobStatus>().data;
    expect([...decode(readFileSync(result?.artifacts[0]?.path ?? '')).data.slice(0, 3)]).toEqual([0, 255, 255]);

    const updated = await timed('update through a canary', 'comfyui', 'setup', '--ref', newer ?? '');
    expect(updated.stderr).toBe('');
    console.log(updated.stdout, await size('generations'));
    const back = await timed('rollback', 'comfyui', 'generations', 'rollback');
    expect(back.code).toBe(0);
    console.log(back.stdout);
    expect((await timed('switch', 'comfyui', 'generations', 'switch', '2')).code).toBe(0);

    await commitFiles(join(folder.path, 'gated-echo'), { '__init__.py': node });
    await commitFiles(join(folder.path, 'broken'), { '__init__.py': 'import nowhere\n' });
    const added = await timed('a pack added', 'nodes', 'add', join(folder.path, 'gated-echo'));
    expect(added.stderr).toBe('');
    expect(added.code).toBe(0);
    const through = { ...invertWorkflow(0x112233), '2': { class_type: 'GatedEcho', inputs: { image: ['1', 0] } } };
    const used = await timed('used', 'run', await box.writeJson('through.json', through), '--json');
    expect(used.json<JobStatus>().data.state).toBe('completed');
    const pids = async () =>
      (await box.mgpu(['status', '--json'])).json<MachineStatus>().data.instances.map(({ id, pid }) => [id, pid]);
    const before = await pids();
    const broken = await timed('a broken pack', 'nodes', 'add', join(folder.path, 'broken'));
    expect(broken.code).toBe(1);
    expect(broken.stderr).toContain("No module named 'nowhere'");
    expect(await pids()).toEqual(before);
    expect((await timed('the pack removed', 'nodes', 'remove', 'gated-echo')).code).toBe(0);
    expect((await box.mgpu(['run', await box.writeJson('again.json', through)])).stderr).toContain('GatedEcho');
  },
);

/** The pid of a setup that was killed as it worked at a step; 0 when it never came to that. */
async function killedIn(step: string, dir: string, env: Record<string, string>): Promise<number> {
  const child = spawn('script', ['-qec', `${process.execPath} ${cli} comfyui setup`, '/dev/null'], {
    cwd: dir,
    env: { ...env, HOME: dir, NO_COLOR: '1' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(child, 'exit');
  let said = '';
  for await (const chunk of child.stdout) {
    said = (said + chunk).slice(-4_000);
    if (!said.includes(`… ${step}`)) continue;
    const { stdout } = await runCommand('pgrep', ['-P', String(child.pid)]);
    const pid = Number(stdout.trim().split('\n')[0]);
    process.kill(pid, 'SIGKILL');
    await ended;
    return pid;
  }
  await ended;
  console.log(said);
  return 0;
}

async function temporary() {
  const path = await mkdtemp(join(tmpdir(), 'mgpu-real-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}
