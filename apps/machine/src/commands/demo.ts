import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type JobEvent, type JobStatus, leasePorts, silentLogger } from '@mgpu/core';
import { demoWorkflow } from '../demo-workflow.ts';
import { failureOf, followJob } from '../follow-job.ts';
import { Machine } from '../machine.ts';
import { BootView, headline } from '../print/boot-view.ts';
import { progressText } from '../print/job-view.ts';
import type { Output } from '../print/output.ts';
import { table } from '../print/table.ts';
import { duration, fileSize } from '../print/text.ts';
import { servicesOnPorts } from '../services-on-ports.ts';
import { loadSettings } from '../settings.ts';
import { type CommandContext, type ExitCode, exitCodes } from './command.ts';

const gpus = 2;

/** The main job on a machine without a GPU: boots two simulated ones, sends a workflow to each, shows the pictures. */
export async function demo(context: CommandContext, { keep }: { keep: boolean }): Promise<ExitCode> {
  const { output, interrupted, settings: given } = context;
  const root = await mkdtemp(join(tmpdir(), 'mgpu-demo-'));
  using ports = await leasePorts(2 * gpus + 1);
  const services = servicesOnPorts(ports.first, gpus);
  let done = false;
  try {
    // A configuration that lies about is not the demo's; neither is one from the environment.
    const env = { PATH: given.env.PATH, HOME: given.env.HOME, LANG: given.env.LANG };
    const settings = await loadSettings({ cwd: root, env, root, mock: gpus, services });
    await using machine = new Machine(settings, { log: silentLogger, survive: false });
    const cancel = () => void machine.down({ force: context.impatient.aborted }).catch(() => {}); // reported where it is awaited
    interrupted.addEventListener('abort', cancel, { once: true });
    context.impatient.addEventListener('abort', cancel, { once: true });
    if (interrupted.aborted) cancel();
    const view = new BootView(output);
    machine.subscribe((event) => view.show(event));
    const report = await machine.boot();
    output.line(`  booted in ${duration(report.totalMs)}\n\n${headline(machine.status())}\n`);
    const jobs = await Promise.all(Array.from({ length: gpus }, (_, index) => runJob(machine, index, context)));
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

async function runJob(machine: Machine, index: number, { output, interrupted }: CommandContext): Promise<JobStatus> {
  const queue = machine.jobs();
  const id = await queue.submit({ type: 'comfyui', input: { prompt: demoWorkflow(index) } });
  const show = (event: JobEvent) => {
    if (event.event === 'progress') output.transient(`  job ${index} ${progressText(event.progress)}`);
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

/** The pictures stay, the rest goes; after a failure nothing stays. */
async function tidy(root: string, keepArtifacts: boolean): Promise<void> {
  if (!keepArtifacts) return rm(root, { recursive: true, force: true });
  const names = await readdir(root);
  await Promise.all(
    names.filter((name) => name !== 'artifacts').map((name) => rm(join(root, name), { recursive: true, force: true })),
  );
}
