import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ControlClient, type Envelope, type MachineStatus, socketPathOf } from '@mgpu/control';
import { layoutOf } from '@mgpu/core';
import { leasePorts } from '@mgpu/core/testing';
import { servicesOnPorts } from '@mgpu/machine';
import { stringify } from 'yaml';

const cli = join(import.meta.dirname, '../bin/mgpu.js');
/** Compiled once for all boxes: each would compile its workers and engines anew in a root of its own. */
const compiled = join(import.meta.dirname, '../../../node_modules/.cache/mgpu/compiled');

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Standard output as the envelope of `--json`. */
  json<D>(): Envelope<string, D>;
}

export interface Running {
  readonly ended: Promise<Ended>;
  kill(signal: NodeJS.Signals): void;
  /** Resolves when standard output has matched. */
  printed(pattern: RegExp): Promise<void>;
}

/** A folder with a configuration of its own, and the `mgpu` command in it. */
export interface Box extends AsyncDisposable {
  /** The folder of its configuration, where commands run. */
  readonly dir: string;
  readonly root: string;
  readonly port: number;
  start(args: readonly string[], env?: Record<string, string>): Running;
  mgpu(args: readonly string[], env?: Record<string, string>): Promise<Ended>;
  writeConfig(config: object): Promise<void>;
  writeJson(name: string, content: unknown): Promise<string>;
}

type Services = Record<string, Record<string, unknown>>;

/** `machine:` of a box whose simulated GPU is in the configuration, not on the command line. */
export const oneSimulatedGpu = { gpu: { mode: 'mock', count: 1 } };

/** Ports of its own, an empty home, nothing of this environment but the path, and what Node has compiled before. */
export async function openBox(
  services: (port: number, dir: string) => Services = () => ({}),
  machine: object = {},
  plugins: readonly string[] = [],
): Promise<Box> {
  const dir = mkdtempSync(join(tmpdir(), 'mgpu-box-'));
  const root = join(dir, 'root');
  const ports = await leasePorts();
  const basics: Services = servicesOnPorts(ports.first, 10);
  const running = new Set<Running>();
  const box: Box = {
    dir,
    root,
    port: ports.first,
    start(args, env = {}) {
      const own = { PATH: process.env.PATH ?? '', HOME: dir, NODE_COMPILE_CACHE: compiled };
      const each = run(args, dir, { ...own, ...env });
      running.add(each);
      void each.ended.then(() => running.delete(each));
      return each;
    },
    mgpu: (args, env) => box.start(args, env).ended,
    writeConfig: (config) => writeFile(join(dir, 'mgpu.config.yaml'), stringify(config)),
    async writeJson(name, content) {
      const path = join(dir, name);
      await writeFile(path, typeof content === 'string' ? content : JSON.stringify(content));
      return path;
    },
    async [Symbol.asyncDispose]() {
      await bringDown(box);
      for (const each of running) each.kill('SIGKILL');
      await Promise.all([...running].map(({ ended }) => ended));
      rmSync(dir, { recursive: true, force: true, maxRetries: 3 }); // the daemon answers before it ends
      ports[Symbol.dispose]();
    },
  };
  const own = services(ports.first, dir);
  const merged = Object.fromEntries(
    [...new Set([...Object.keys(basics), ...Object.keys(own)])].map((kind) => [
      kind,
      { ...basics[kind], ...own[kind] },
    ]),
  );
  await box.writeConfig({ machine: { root, ...machine }, services: merged, plugins });
  return box;
}

/** What `mgpu status --json` has as its data, without the start of one more program. Throws where no daemon answers. */
export async function statusOf({ root }: Box): Promise<MachineStatus> {
  await using client = new ControlClient({ socketPath: socketPathOf(layoutOf(root)) });
  return await client.status();
}

/** What `mgpu down --force` does, where there is anything it could find, and without the start of one more program. */
async function bringDown(box: Box): Promise<void> {
  const layout = layoutOf(box.root);
  if (!existsSync(layout.run) || readdirSync(layout.run).length === 0) return;
  await using client = new ControlClient({ socketPath: socketPathOf(layout) });
  try {
    await client.down({ force: true });
  } catch {
    await box.mgpu(['down', '--force']); // no daemon, but what one has left
  }
}

function run(args: readonly string[], cwd: string, env: Record<string, string>): Running {
  const child = spawn(process.execPath, [cli, ...args], { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  const watchers = new Set<() => void>();
  child.stdout.on('data', (chunk) => {
    stdout += chunk;
    for (const each of watchers) each();
  });
  child.stderr.on('data', (chunk) => {
    stderr += chunk;
  });
  const ended = new Promise<Ended>((resolve) => {
    child.once('close', (code) => {
      resolve({ code, stdout, stderr, json: () => JSON.parse(stdout) });
      for (const each of watchers) each();
    });
  });
  return {
    ended,
    kill: (signal) => void child.kill(signal),
    printed: (pattern) =>
      new Promise((resolve, reject) => {
        const check = () => {
          if (pattern.test(stdout)) resolve();
          else if (child.exitCode !== null || child.signalCode !== null)
            reject(new Error(`ended without printing ${pattern}: ${stdout}${stderr}`));
          else return;
          watchers.delete(check);
        };
        watchers.add(check);
        check();
      }),
  };
}

/** A Redis of the test's own on a port, its data kept between lives. */
export async function startRedis(port: number, dir: string) {
  const child = spawn(
    'redis-server',
    [
      '--port',
      String(port),
      '--bind',
      '127.0.0.1',
      '--dir',
      dir,
      '--appendonly',
      'yes',
      '--appendfsync',
      'always',
      '--save',
      '',
    ],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  for await (const chunk of child.stdout) if (String(chunk).includes('Ready to accept connections')) break;
  return {
    pid: child.pid ?? 0,
    async kill() {
      if (child.signalCode !== null) return;
      child.kill('SIGKILL');
      await once(child, 'exit');
    },
  };
}

/** Whether a process is there; one that only waits to be collected by init is not. */
export function isAlive(pid: number | undefined): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2, stat.lastIndexOf(')') + 3) !== 'Z';
  } catch {
    return false; // gone
  }
}

/** EmptyImage → ImageInvert → SaveImage: every pixel is the complement of the colour. */
export const invertWorkflow = (color = 0xff0000) => ({
  '1': { class_type: 'EmptyImage', inputs: { width: 64, height: 48, batch_size: 1, color } },
  '2': { class_type: 'ImageInvert', inputs: { image: ['1', 0] } },
  '3': { class_type: 'SaveImage', inputs: { images: ['2', 0], filename_prefix: 'test/inverted' } },
});

/** A sampler that takes its time: `steps` steps of the simulator's `stepMs`. */
export const samplerWorkflow = (steps: number, seed = 1) => ({
  '1': { class_type: 'CheckpointLoaderSimple', inputs: { ckpt_name: 'v1-5-pruned-emaonly-fp16.safetensors' } },
  '2': { class_type: 'CLIPTextEncode', inputs: { clip: ['1', 1], text: 'a machine' } },
  '3': { class_type: 'EmptyLatentImage', inputs: { width: 64, height: 64, batch_size: 1 } },
  '4': {
    class_type: 'KSampler',
    inputs: {
      model: ['1', 0],
      positive: ['2', 0],
      negative: ['2', 0],
      latent_image: ['3', 0],
      seed,
      steps,
      cfg: 7,
      sampler_name: 'euler',
      scheduler: 'normal',
      denoise: 1,
    },
  },
  '5': { class_type: 'VAEDecode', inputs: { samples: ['4', 0], vae: ['1', 2] } },
  '6': { class_type: 'SaveImage', inputs: { images: ['5', 0], filename_prefix: 'sampled' } },
});
