import type { Engine } from './engine.ts';
import type { FinishedRun } from './history.ts';
import type { QueueItem } from './queue.ts';

export const STATUSES = ['pending', 'in_progress', 'completed', 'failed', 'cancelled'] as const;

/** One job of `GET /api/jobs`; what is not known is left out. */
export interface Job {
  readonly id: string;
  readonly status: (typeof STATUSES)[number];
  readonly priority: number;
  readonly create_time?: number;
  readonly execution_start_time?: number;
  readonly execution_end_time?: number;
  readonly execution_error?: Record<string, unknown>;
  readonly outputs_count: number;
  readonly preview_output?: Record<string, unknown>;
  readonly workflow_id?: string;
}

/** All jobs that queue and history know. */
export function jobs(engine: Engine): Job[] {
  const { queue, history } = engine;
  const waiting = queue.pending.map((item) => waitingJob(item, 'pending'));
  const running = queue.running === undefined ? [] : [waitingJob(queue.running, 'in_progress')];
  return [...running, ...waiting, ...history.all().map((run) => finishedJob(engine, run))];
}

/** The body of `GET /api/jobs/{id}`. */
export function jobDetails(engine: Engine, id: string): Record<string, unknown> | undefined {
  const run = engine.history.get(id);
  const item = run?.item ?? [engine.queue.running, ...engine.queue.pending].find((queued) => queued?.id === id);
  if (item === undefined) return undefined;
  const workflow = { prompt: item.prompt, extra_data: item.extraData };
  if (run === undefined)
    return { ...waitingJob(item, item === engine.queue.running ? 'in_progress' : 'pending'), workflow };
  return { ...finishedJob(engine, run), outputs: run.outputs, execution_status: run.status, workflow };
}

function waitingJob(item: QueueItem, status: 'pending' | 'in_progress'): Job {
  return { id: item.id, status, priority: item.number, ...fromExtraData(item), outputs_count: 0 };
}

function finishedJob(engine: Engine, { item, status, outputs }: FinishedRun): Job {
  const time = (...events: string[]) =>
    status.messages.find(([event]) => events.includes(event))?.[1].timestamp as number | undefined;
  const error = status.messages.find(([event]) => event === 'execution_error')?.[1];
  const interrupted = status.messages.some(([event]) => event === 'execution_interrupted');
  const cancelled = interrupted && engine.isSince('0.26.0');
  const files = Object.entries(outputs).flatMap(([nodeId, output]) =>
    Object.entries(output).flatMap(([mediaType, list]) =>
      Array.isArray(list) ? list.map((file: object) => ({ ...file, nodeId, mediaType })) : [],
    ),
  );
  const preview = files.find((file) => 'type' in file && file.type === 'output') ?? files[0];
  const [start, end] = [time('execution_start'), time('execution_success', 'execution_error', 'execution_interrupted')];
  return {
    id: item.id,
    status: status.completed ? 'completed' : cancelled ? 'cancelled' : 'failed',
    priority: item.number,
    ...fromExtraData(item),
    ...(start !== undefined && { execution_start_time: start }),
    ...(end !== undefined && { execution_end_time: end }),
    ...(error !== undefined && { execution_error: error }),
    outputs_count: files.length,
    ...(preview !== undefined && { preview_output: preview }),
  };
}

function fromExtraData({ extraData }: QueueItem): { create_time?: number; workflow_id?: string } {
  const { create_time, extra_pnginfo } = extraData as {
    create_time?: number;
    extra_pnginfo?: { workflow?: { id?: string } };
  };
  const id = extra_pnginfo?.workflow?.id;
  return { ...(create_time !== undefined && { create_time }), ...(id !== undefined && { workflow_id: id }) };
}
