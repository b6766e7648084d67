import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { MachineStatus } from '@mgpu/control';
import { type JobEvent, type JobStatus, leasePorts, reviveError, silentLogger } from '@mgpu/core';
import { lockPulls, modelsDirOf, OllamaClient, type OllamaConfig } from '@mgpu/ollama';
import { type DemoJob, demoJobs } from '../demo/jobs.ts';
import { demoModels, demoPorts, surround } from '../demo/surroundings.ts';
import { NoEngineError } from '../errors.ts';
import { failureOf, followJob } from '../follow-job.ts';
import { Machine } from '../machine.ts';
import { BootView, headline } from '../print/boot-view.ts';
import { progressText } from '../print/job-view.ts';
import type { Output } from '../print/output.ts';
import { table } from '../print/table.ts';
import { duration, fileSize } from '../print/text.ts';
import { loadSettings, type Settings } from '../settings.ts';
import { type CommandContext, type ExitCode, exitCodes } from './command.ts';

const gpus = 2;
const engines = new Set(['comfyui', 'a1111', 'ollama']);

/** All of it on a machine without a GPU: boots every service on two simulated ones, sends each engine a job, shows the results. */
export async function demo(context: CommandContext, { keep }: { keep: boolean }): Promise<ExitCode> {
  const { output, interrupted, settings: given } = context;
  const root = await mkdtemp(join(tmpdir(), 'mgpu-demo-'));
  using ports = await leasePorts(demoPorts(gpus));
  let done = false;
  try {
    // A configuration that lies about is not the demo's; neither is one from the environment.
    const system = { PATH: given.env.PATH, LANG: given.env.LANG };
    await using surroundings = await surround(root, { first: ports.first, gpus, env: system });
    const { services, home } = surroundings;
    const settings = await loadSettings({ cwd: root, env: { ...system, HOME: home }, root, mock: gpus, services });
    await using machine = new Machine(settings, { log: silentLogger, survive: false });
    const cancel = () => void machine.down({ force: context.impatient.aborted }).catch(() => {}); // reported where it is awaited
    interrupted.addEventListener('abort', cancel, { once: true });
    context.impatient.addEventListener('abort', cancel, { once: true });
    if (interrupted.aborted) cancel();
    const view = new BootView(output);
    machine.subscribe((event) => view.show(event));
    const report = await machine.boot();
    output.line(`  booted in ${duration(report.totalMs)}\n\n${headline(machine.status(), output)}\n`);
    expectEngines(machine.status(), output);
    await untilPulled(settings, machine, interrupted);
    const jobs = await Promise.all(demoJobs(gpus).map((job) => runJob(machine, job, context)));
    showJobs(jobs, output);
    output.data('Demo', { root, boot: report, jobs });
    done = true;
    if (keep) {
      showUrls(machine, output);
      await machine.ended;
    }
    await machine.down({ force: false });
    return interrupted.aborted && !keep ? exitCodes.failed : exitCodes.done;
  } finally {
    await tidy(root, done);
  }
}

/** An engine that is not critical to a machine is to a demo: its job would wait for ever. */
function expectEngines({ instances }: MachineStatus, output: Output): void {
  for (const { id, kind, state, health, reason } of instances) {
    if (engines.has(kind) && state !== 'running') {
      if (reason && 'code' in reason) throw reviveError(reason);
      throw new NoEngineError({ kind, name: id, where: 'this machine', states: [`it is ${state}`] });
    }
    if (state === 'failed' || health === 'degraded') output.notice(`${id}: ${reason?.message ?? state}`);
  }
}

/** Language models come while the machine is up already: the job would not find its own. */
async function untilPulled(settings: Settings, machine: Machine, signal: AbortSignal): Promise<void> {
  const { config, layout } = settings;
  const { endpoint = '' } = machine.status().instances.find(({ kind }) => kind === 'ollama') ?? {};
  using _ = await lockPulls(modelsDirOf(config.services.ollama as unknown as OllamaConfig, { layout }), { signal });
  await using client = new OllamaClient(endpoint);
  for await (const _progress of client.pull(demoModels.language, { signal }));
}

async function runJob(machine: Machine, job: DemoJob, { output, interrupted }: CommandContext): Promise<JobStatus> {
  const queue = machine.jobs();
  const id = await queue.submit(job);
  const show = (event: JobEvent) => {
    if (event.event === 'progress') output.transient(`  ${job.type} ${progressText(event.progress)}`);
  };
  const status = await followJob(queue, id, show, interrupted);
  if (status.state !== 'completed') throw failureOf(status);
  return status;
}

function showJobs(jobs: readonly JobStatus[], output: Output): void {
  const rows = jobs.map(({ id, result }) => {
    const { queuedMs = 0, runMs = 0, totalMs = 0 } = result?.timings ?? {};
    const bytes = (result?.artifacts ?? []).reduce((sum, each) => sum + each.bytes, 0);
    return [
      id.replace(/^.*\./, '').slice(0, 8),
      result?.engine ?? '',
      duration(queuedMs),
      duration(runMs),
      duration(totalMs),
      fileSize(bytes),
    ];
  });
  output.line(table(['job', 'engine', 'queued', 'run', 'total', 'size'], rows));
  output.line();
  for (const { result } of jobs) for (const { path } of result?.artifacts ?? []) output.line(path);
}

function showUrls(machine: Machine, output: Output): void {
  output.line('\nstill up; Ctrl-C ends it');
  for (const { id, endpoint } of machine.status().instances) {
    if (endpoint?.startsWith('http')) output.line(`  ${id.padEnd(16)} ${endpoint}`);
  }
}

/** The results stay, the rest goes; after a failure nothing stays. */
async function tidy(root: string, keepArtifacts: boolean): Promise<void> {
  if (!keepArtifacts) return rm(root, { recursive: true, force: true });
  const names = await readdir(root);
  await Promise.all(
    names.filter((name) => name !== 'artifacts').map((name) => rm(join(root, name), { recursive: true, force: true })),
  );
}
