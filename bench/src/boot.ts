// How long a machine of 8 simulated GPUs takes to boot, beside its longest chain timed alone in the same run.
// Usage: npm run bench:boot [-- rounds]
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BootReport, findGpus, Orchestrator } from '@mgpu/core';
import { leasePorts } from '@mgpu/core/testing';
import { loadSettings, Machine, type Settings, servicesOnPorts } from '@mgpu/machine';
import { show, summarize } from './statistics.ts';

const gpus = 8;
const engineStartMs = 2_000;
const rounds = Number(process.argv[2] ?? 5);

async function withSettings<T>(mock: number, work: (settings: Settings) => Promise<T>): Promise<T> {
  const root = await mkdtemp(join(tmpdir(), 'mgpu-bench-'));
  using ports = await leasePorts(2 * mock + 1);
  try {
    const services = servicesOnPorts(ports.first, mock);
    const env = {
      PATH: process.env.PATH,
      HOME: process.env.HOME,
      MGPU_SIM: JSON.stringify({ startMs: engineStartMs }),
    };
    return await work(await loadSettings({ cwd: root, env, root, mock, services }));
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await work();
  return performance.now() - began;
}

/** Each part of the chain by itself on an otherwise idle machine, its dependencies being there already. */
function chainAlone() {
  return withSettings(1, async ({ config, definitions, layout, env }) => {
    const { gpus: found } = await findGpus(config.machine.gpu);
    await using orchestrator = new Orchestrator({
      definitions,
      config,
      gpus: found,
      layout,
      env,
      machineId: 'bench',
      survive: false,
    });
    await orchestrator.start(); // also does the set-up steps
    for (const id of ['worker_gpu0', 'comfyui_gpu0', 'nginx']) await orchestrator.stopInstance(id);
    const nginx = await timed(() => orchestrator.startInstance('nginx'));
    const engine = await timed(() => orchestrator.startInstance('comfyui_gpu0'));
    const worker = await timed(() => orchestrator.startInstance('worker_gpu0'));
    return { engine, worker, nginx };
  });
}

function wholeMachine(): Promise<BootReport & { readonly ms: number }> {
  return withSettings(gpus, async (settings) => {
    await using machine = new Machine(settings, { survive: false });
    const began = performance.now();
    const report = await machine.boot();
    return { ...report, ms: performance.now() - began };
  });
}

const parts: { engine: number; worker: number; nginx: number }[] = [];
const totals: (BootReport & { readonly ms: number })[] = [];
for (let round = 0; round < rounds; round++) {
  parts.push(await chainAlone());
  totals.push(await wholeMachine());
}
const engine = summarize(parts.map((each) => each.engine));
const worker = summarize(parts.map((each) => each.worker));
const nginx = summarize(parts.map((each) => each.nginx));
const chain = engine.median + worker.median + nginx.median;
const total = summarize(totals.map(({ ms }) => ms));
console.log(
  `boot of ${gpus} simulated GPUs, engine start ${engineStartMs} ms, ${rounds} rounds; median (min to max) in ms`,
);
console.log(`engine alone   ${show(engine)}`);
console.log(`worker alone   ${show(worker)}`);
console.log(`nginx alone    ${show(nginx)}`);
console.log(`longest chain  ${chain.toFixed(1)}`);
console.log(`whole machine  ${show(total)}`);
console.log(`ratio          ${(total.median / chain).toFixed(3)}   (goal: at most 1.15)`);
for (const { name, startedMs, ms } of totals.at(-1)?.phases ?? []) {
  console.log(`  ${name.padEnd(16)} from ${startedMs.toFixed(0).padStart(5)}  for ${ms.toFixed(0).padStart(5)}`);
}
