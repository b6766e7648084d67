import { randomUUID } from 'node:crypto';
import { Emitter, type Logger, problemsOf, redact, reportError } from '@mgpu/core';
import type { Operation, OperationProgress, TaskEvent, TaskStatus } from '../contract.ts';
import { OperationUnknownError, RequestInvalidError, TaskUnknownError, TooManyTasksError } from '../errors.ts';

/** Tasks that run at the same time, and that are remembered, with about so many bytes of answers. */
const mostRunning = 8;
const mostKept = 100;
const mostKeptBytes = 64 * 1024 * 1024;

interface Task {
  status: TaskStatus;
  /** Of its answer. */
  bytes: number;
  readonly cancel: AbortController;
  readonly ended: PromiseWithResolvers<void>;
}

/** The operations that somebody asked for: what runs, and what came of those before. */
export class TaskList {
  readonly #operations: readonly Operation[];
  readonly #log: Logger;
  /** In the order in which they began. */
  readonly #tasks = new Map<string, Task>();
  readonly #changes: Emitter<{ change: string }>;

  constructor(operations: readonly Operation[], log: Logger) {
    this.#operations = operations;
    this.#log = log;
    this.#changes = new Emitter((_, error) => log.error('a listener of a task failed', { error }));
  }

  /** Throws `CONTROL_OPERATION_UNKNOWN`, `CONTROL_REQUEST_INVALID` and `CONTROL_TOO_MANY_TASKS`. */
  start(name: string, input: unknown): TaskStatus {
    const operation = this.#operations.find((each) => each.name === name);
    if (!operation)
      throw new OperationUnknownError({ operation: name, known: this.#operations.map((each) => each.name) });
    const parsed = operation.input.safeParse(input ?? {});
    if (!parsed.success) throw new RequestInvalidError({ problems: problemsOf(parsed.error, 'body') });
    const running = [...this.#tasks.values()].filter(({ status }) => status.state === 'running').length;
    if (running >= mostRunning) throw new TooManyTasksError({ most: mostRunning });
    const status: TaskStatus = {
      id: randomUUID(),
      operation: name,
      state: 'running',
      input: redact(parsed.data),
      createdAt: new Date().toISOString(),
    };
    const task: Task = { status, bytes: 0, cancel: new AbortController(), ended: Promise.withResolvers() };
    this.#tasks.set(status.id, task);
    this.#forget(task);
    void this.#run(task, operation, parsed.data);
    return status;
  }

  /** The newest first, without their answers. */
  list(): readonly TaskStatus[] {
    return [...this.#tasks.values()].map(({ status: { result: _, ...rest } }) => rest).toReversed();
  }

  /** Throws `CONTROL_TASK_UNKNOWN`. */
  get(id: string): TaskStatus {
    return this.#find(id).status;
  }

  /** Resolves when it has ended. Throws `CONTROL_TASK_UNKNOWN`. */
  async cancel(id: string): Promise<TaskStatus> {
    const task = this.#find(id);
    task.cancel.abort(new DOMException('the task was cancelled', 'AbortError'));
    await task.ended.promise;
    return task.status;
  }

  /** From where it has got to `ended`; ends early only by the signal. Of what comes faster than it is read the last is told. */
  async *watch(id: string, { signal }: { signal: AbortSignal }): AsyncGenerator<TaskEvent> {
    const task = this.#find(id);
    let wake = () => {};
    const off = this.#changes.on('change', (changed) => changed === id && wake());
    const onAbort = () => wake();
    signal.addEventListener('abort', onAbort);
    try {
      let told: OperationProgress | undefined;
      while (!signal.aborted) {
        const { status } = task;
        if (status.progress !== undefined && status.progress !== told) {
          told = status.progress;
          yield { event: 'progress', progress: told };
        } else if (status.state !== 'running') {
          yield { event: 'ended', status };
          return;
        } else
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
      }
    } finally {
      off();
      signal.removeEventListener('abort', onAbort);
    }
  }

  /** Cancels what runs; resolves when it has ended. */
  async end(): Promise<void> {
    await Promise.all([...this.#tasks.keys()].map((id) => this.cancel(id)));
  }

  async #run(task: Task, operation: Operation, input: Readonly<Record<string, unknown>>): Promise<void> {
    const { signal } = task.cancel;
    const onProgress = (progress: OperationProgress) => {
      if (task.status.state === 'running') this.#change(task, { progress });
    };
    try {
      const result = await operation.run(input, { signal, onProgress });
      task.bytes = JSON.stringify(result).length;
      this.#change(task, { state: 'completed', result });
      this.#forget(task);
    } catch (error) {
      // Of one that was cancelled it matters what it could not put back.
      const isWish = signal.aborted && error === signal.reason;
      const state = signal.aborted ? 'cancelled' : 'failed';
      this.#change(task, { state, ...(isWish ? {} : { error: reportError(error) }) });
      this.#log.info(`task ${task.status.operation} ${task.status.state}`, { task: task.status.id, error });
    } finally {
      task.ended.resolve();
    }
  }

  #change(task: Task, change: Partial<TaskStatus>): void {
    const endedAt = change.state === undefined ? {} : { endedAt: new Date().toISOString() };
    task.status = { ...task.status, ...change, ...endedAt };
    this.#changes.emit('change', task.status.id);
  }

  #find(id: string): Task {
    const task = this.#tasks.get(id);
    if (!task) throw new TaskUnknownError({ task: id });
    return task;
  }

  /** Those that have ended, the oldest first, and never the one that somebody waits for. */
  #forget(latest: Task): void {
    let bytes = [...this.#tasks.values()].reduce((sum, each) => sum + each.bytes, 0);
    for (const [id, task] of this.#tasks) {
      if (this.#tasks.size <= mostKept && bytes <= mostKeptBytes) return;
      if (task === latest || task.status.state === 'running') continue;
      this.#tasks.delete(id);
      bytes -= task.bytes;
    }
  }
}
