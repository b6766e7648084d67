import { constants } from 'node:fs';
import { copyFile, mkdir, readFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { ControlClient } from '@mgpu/control';
import { type JobEvent, type JobQueue, type JobStatus, reviveError } from '@mgpu/core';
import { ArtifactElsewhereError, JobFailedError, WorkflowUnreadableError } from '../errors.ts';
import { jobLine, progressText } from '../print/job-view.ts';
import { loadSettings } from '../settings.ts';
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
  const { output, settings, interrupted } = context;
  const prompt = await readWorkflow(resolve(settings.cwd, path));
  const { socketPath } = await loadSettings(settings);
  await using client = new ControlClient({ socketPath });
  const request = {
    v: 1 as const,
    type: 'comfyui',
    input: { prompt },
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
  };
  const id = await client.submit(request, { signal: interrupted });
  if (watch) output.line(`job ${id}`);
  const onInterrupt = () => void client.cancel(id).catch((error: unknown) => output.error(error));
  interrupted.addEventListener('abort', onInterrupt, { once: true });
  if (interrupted.aborted) onInterrupt();
  const ended = await followJob(client, id, (event) => {
    if (event.event === 'progress') output.transient(progressText(event.progress));
    if (watch && !output.live) output.line(jobLine(event));
  });
  if (ended.state !== 'completed' || !ended.result) {
    output.data('Job', ended);
    if (ended.state === 'cancelled') {
      output.line(`job ${id} was cancelled`);
      return exitCodes.failed;
    }
    throw ended.error ? reviveError(ended.error) : new JobFailedError({ job: id, state: ended.state });
  }
  const files =
    out === undefined
      ? ended.result.artifacts.map(({ path: file }) => file)
      : await copyTo(resolve(settings.cwd, out), ended);
  output.data('Job', { ...ended, files });
  for (const file of files) output.line(file);
  return exitCodes.done;
}

/** Waits for the end of a job. */
export async function followJob(queue: JobQueue, id: string, onEvent: (event: JobEvent) => void): Promise<JobStatus> {
  for await (const event of queue.watch(id)) {
    onEvent(event);
    if (event.event === 'ended') return event.status;
  }
  return queue.get(id);
}

/** A workflow in ComfyUI's API format; what the web page saves by default is another one and is named as such. */
async function readWorkflow(path: string): Promise<Record<string, unknown>> {
  const refuse = (problem: string, cure: string, cause?: unknown) =>
    new WorkflowUnreadableError({ path, problem, cure }, { cause });
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    const missing = (cause as NodeJS.ErrnoException).code === 'ENOENT';
    throw refuse(missing ? 'there is no such file' : (cause as Error).message, 'check the path', cause);
  }
  let workflow: unknown;
  try {
    workflow = JSON.parse(text);
  } catch (cause) {
    throw refuse(`it is not JSON: ${(cause as Error).message}`, 'export it from ComfyUI with "Export (API)"', cause);
  }
  if (typeof workflow !== 'object' || workflow === null || Array.isArray(workflow))
    throw refuse('it is not an object of nodes', 'export it from ComfyUI with "Export (API)"');
  if ('nodes' in workflow && 'links' in workflow)
    throw refuse("it is in the web page's format, not in API format", 'export it from ComfyUI with "Export (API)"');
  const { prompt } = workflow as { prompt?: unknown };
  // A whole request body, as other tools keep it, has the graph below `prompt`.
  return (typeof prompt === 'object' && prompt !== null ? prompt : workflow) as Record<string, unknown>;
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
