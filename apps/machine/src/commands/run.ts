import { constants, existsSync } from 'node:fs';
import { copyFile, mkdir } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { ControlClient } from '@mgpu/control';
import type { JobEvent, JobStatus } from '@mgpu/core';
import { ArtifactElsewhereError, CancelUnconfirmedError } from '../errors.ts';
import { failureOf, followJob } from '../follow-job.ts';
import { jobLine, progressText } from '../print/job-view.ts';
import { locateMachine } from '../settings.ts';
import { readWorkflow } from '../workflow-file.ts';
import { type CommandContext, type ExitCode, exitCodes } from './command.ts';

export interface RunOptions {
  readonly watch: boolean;
  /** Folder the artifacts are copied to. */
  readonly out?: string;
  readonly timeoutMs?: number;
}

/** Sends one ComfyUI workflow through the queue and waits for its artifacts. Ctrl-C cancels the job. */
export async function run(
  context: CommandContext,
  path: string,
  { watch, out, timeoutMs }: RunOptions,
): Promise<ExitCode> {
  const { output, settings, impatient } = context;
  const prompt = await readWorkflow(resolve(settings.cwd, path));
  const { socketPath } = await locateMachine(settings);
  await using client = new ControlClient({ socketPath });
  const request = { type: 'comfyui', input: { prompt }, ...(timeoutMs === undefined ? {} : { timeoutMs }) };
  // A first Ctrl-C cancels the job, so its id has to be known.
  const id = await client.submit(request, { signal: impatient });
  if (watch) output.line(`job ${id}`);
  const ended = await followUnlessInterrupted(context, client, id, (event) => {
    if (event.event === 'progress') output.transient(progressText(event.progress));
    if (watch && !output.live) output.line(jobLine(event));
  });
  if (ended.state !== 'completed' || !ended.result) {
    output.data('Job', ended);
    if (ended.state !== 'cancelled') throw failureOf(ended);
    output.line(`job ${id} was cancelled`);
    return exitCodes.failed;
  }
  const stored = ended.result.artifacts.map((artifact) => artifact.path);
  const files = out === undefined ? stored : await copyTo(resolve(settings.cwd, out), ended);
  output.data('Job', { ...ended, files });
  for (const file of files) output.line(file);
  const elsewhere = files.find((file) => !existsSync(file));
  if (elsewhere !== undefined) output.notice(new ArtifactElsewhereError({ path: elsewhere }).message);
  return exitCodes.done;
}

/** The end of the job. Ctrl-C cancels it and waits for that; a second one, or a queue that is away, ends the wait. */
async function followUnlessInterrupted(
  { interrupted, impatient }: CommandContext,
  client: ControlClient,
  id: string,
  onEvent: (event: JobEvent) => void,
): Promise<JobStatus> {
  const unconfirmed = new AbortController();
  let cancelling: Promise<void> | undefined;
  const cancel = () => {
    cancelling = client.cancel(id, { signal: impatient }).catch((cause: unknown) => {
      unconfirmed.abort(new CancelUnconfirmedError({ job: id }, { cause }));
    });
  };
  interrupted.addEventListener('abort', cancel, { once: true });
  if (interrupted.aborted) cancel();
  impatient.addEventListener('abort', () => unconfirmed.abort(new CancelUnconfirmedError({ job: id })), { once: true });
  const ended = await followJob(client, id, onEvent, unconfirmed.signal);
  await cancelling;
  return ended;
}

/** Never over a file that is there: then the job's id goes before the name. */
async function copyTo(dir: string, { id, result }: JobStatus): Promise<string[]> {
  const targets: string[] = [];
  for (const { name, path } of result?.artifacts ?? []) {
    const [wanted, other] = [join(dir, name), join(dir, dirname(name), `${id}-${basename(name)}`)];
    await mkdir(dirname(wanted), { recursive: true });
    targets.push((await copyNew(path, wanted)) ?? (await copyNew(path, other)) ?? other);
  }
  return targets;
}

/** Undefined when there is such a file already. */
async function copyNew(source: string, target: string): Promise<string | undefined> {
  try {
    await copyFile(source, target, constants.COPYFILE_EXCL);
    return target;
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    if (code === 'EEXIST') return undefined;
    if (code === 'ENOENT') throw new ArtifactElsewhereError({ path: source }, { cause });
    throw cause;
  }
}
