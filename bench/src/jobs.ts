// Throughput of small jobs on one engine, three ways in one run: all queued straight into the engine, one after another
// by a bare client, and through queue and worker.
// Usage: npm run bench:jobs [-- --jobs 300 --rounds 5 --prompt-ms 2.5 --real <ComfyUI checkout> --python <python>]
//
// What the figure stands for: the simulated engine is given 2.5 ms a job on top of its own work, which makes it about as
// fast as a real ComfyUI on such jobs (4 ms each, 240 a second). With 0 ms it would take 550 a second; then two cores are
// busy with the harness itself, and the ratio (0.65) says how they are shared, not how long an engine waits.
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ComfyUIClient, comfyui } from '@mgpu/comfyui';
import { layoutOf, loadConfig, mockGpus, Orchestrator } from '@mgpu/core';
import { leasePorts } from '@mgpu/core/testing';
import { redis } from '@mgpu/redis';
import { comfyuiProgram } from '@mgpu/simulator';
import { JobClient, worker } from '@mgpu/worker';
import { show, summarize } from './statistics.ts';

const { values } = parseArgs({
  options: {
    jobs: { type: 'string', default: '300' },
    rounds: { type: 'string', default: '5' },
    'prompt-ms': { type: 'string', default: '2.5' },
    real: { type: 'string' },
    python: { type: 'string' },
  },
});
const jobs = Number(values.jobs);
const rounds = Number(values.rounds);
let colour = 1;
let folder = 0;

/**
 * Another colour each time, so that nothing comes out of the engine's cache; another folder each round, since saving
 * gets slower as a folder fills.
 */
const workflow = () => ({
  '1': { class_type: 'EmptyImage', inputs: { width: 64, height: 64, batch_size: 1, color: colour++ } },
  '2': { class_type: 'ImageInvert', inputs: { image: ['1', 0] as [string, number] } },
  '3': {
    class_type: 'SaveImage',
    inputs: { images: ['2', 0] as [string, number], filename_prefix: `bench/${folder}/picture` },
  },
});

/** Opens a websocket and resolves `ended(id)` when a prompt has succeeded. */
async function follow(client: ComfyUIClient) {
  const clientId = randomUUID();
  const ends = new Map<string, PromiseWithResolvers<void>>();
  const end = (id: string) => {
    const known = ends.get(id) ?? Promise.withResolvers<void>();
    ends.set(id, known);
    return known;
  };
  const events = await client.events(clientId);
  const read = async () => {
    for await (const event of events) if (event.type === 'execution_success') end(event.data.prompt_id).resolve();
  };
  const reading = read();
  const close = async () => {
    await events.return();
    await reading;
  };
  return { clientId, ended: (id: string) => end(id).promise, close };
}

async function allAtOnce(client: ComfyUIClient): Promise<void> {
  const { clientId, ended, close } = await follow(client);
  const submissions = Array.from({ length: jobs }, () => client.submit(workflow(), { clientId }));
  await Promise.all(submissions.map(async (each) => ended((await each).promptId)));
  await close();
}

async function oneAfterAnother(client: ComfyUIClient): Promise<void> {
  const { clientId, ended, close } = await follow(client);
  for (let n = 0; n < jobs; n++) await ended((await client.submit(workflow(), { clientId })).promptId);
  await close();
}

async function throughQueue(queue: JobClient): Promise<void> {
  const submissions = Array.from({ length: jobs }, () =>
    queue.submit({ type: 'comfyui', input: { prompt: workflow() } }),
  );
  await Promise.all(
    submissions.map(async (submission) => {
      for await (const event of queue.watch(await submission)) {
        if (event.event === 'ended' && event.status.state !== 'completed') throw event.status.error;
      }
    }),
  );
}

/** Jobs per second. */
async function rate(work: () => Promise<void>): Promise<number> {
  folder++;
  const began = performance.now();
  await work();
  return (jobs / (performance.now() - began)) * 1_000;
}

const root = await mkdtemp(join(tmpdir(), 'mgpu-bench-'));
using ports = await leasePorts(1);
const definitions = [redis, comfyui, worker];
const engine = values.real
  ? { dir: values.real, cpu: true, ...(values.python ? { python: values.python } : {}) }
  : { command: [process.execPath, comfyuiProgram()] };
const env = {
  PATH: process.env.PATH,
  HOME: process.env.HOME,
  MGPU_SIM: JSON.stringify({ promptMs: Number(values['prompt-ms']) }),
};
const overrides = { services: { comfyui: { basePort: ports.first, ...engine } } };
const { config } = await loadConfig({ definitions, cwd: root, env, overrides });
const layout = layoutOf(root);
try {
  await using orchestrator = new Orchestrator({
    definitions,
    config,
    gpus: mockGpus(1),
    layout,
    env,
    machineId: 'bench',
    survive: false,
  });
  await orchestrator.start();
  const [address] = orchestrator.view.endpoints({ kind: 'redis' });
  await using queue = new JobClient({ redis: address?.url.href ?? '' });
  await using client = new ComfyUIClient(`http://127.0.0.1:${ports.first}`);
  await allAtOnce(client); // warms up
  await throughQueue(queue);
  const direct: number[] = [];
  const serial: number[] = [];
  const queued: number[] = [];
  for (let round = 0; round < rounds; round++) {
    direct.push(await rate(() => allAtOnce(client)));
    serial.push(await rate(() => oneAfterAnother(client)));
    queued.push(await rate(() => throughQueue(queue)));
  }
  const base = summarize(direct);
  const ratio = (rates: readonly number[]) => (summarize(rates).median / base.median).toFixed(3);
  const what = values.real ? 'a real ComfyUI on the CPU' : `a simulated engine (+${values['prompt-ms']} ms a job)`;
  console.log(`${jobs} jobs of 64×64 on ${what}, ${rounds} rounds; jobs per second, median (min to max)`);
  console.log(`all queued straight into the engine  ${show(base)}   1`);
  console.log(`one after another by a bare client   ${show(summarize(serial))}   ${ratio(serial)}`);
  console.log(
    `through queue and worker             ${show(summarize(queued))}   ${ratio(queued)}   (goal: at least 0.9)`,
  );
} finally {
  await rm(root, { recursive: true, force: true });
}
