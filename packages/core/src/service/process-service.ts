import { rmSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { onExit } from 'signal-exit';
import { ProcessExitedError } from '../errors/core-errors.ts';
import { type Gpu, gpuEnvironment } from '../gpu/gpu.ts';
import { identifyGpu } from '../gpu/identify-gpu.ts';
import type { ProbeContext } from '../probe/probe.ts';
import { lastLines } from '../process/last-lines.ts';
import { expectPortsFree } from '../process/ports.ts';
import { hashSpec, processRecordFile } from '../process/process-record.ts';
import { bootId, signalProcess } from '../process/process-table.ts';
import { findTree, type TreeIdentity } from '../process/process-tree.ts';
import { type ProcessSpec, type SpawnedProcess, spawnProcess } from '../process/spawn.ts';
import { stopTree } from '../process/stop-tree.ts';
import { sweepLeftover } from '../process/sweep-leftover.ts';
import { BaseService } from './base-service.ts';
import type { ServiceContext } from './context.ts';
import type { Run } from './run.ts';
import type { ServiceEvents, ServiceStatus } from './types.ts';

const portReleaseMs = 5_000;

/**
 * A service that is a process: started in a session of its own, its output appended to
 * `<root>/<instance>/logs/output.log` by itself, remembered in a record, and ended with its whole tree. Nothing starts
 * over a leftover of its former run: that is swept first, and the ports are seen free.
 */
export abstract class ProcessService<C extends object, E extends ServiceEvents = ServiceEvents> extends BaseService<
  C,
  E
> {
  #process: SpawnedProcess | undefined;
  #gpu: Gpu | undefined;

  get pid(): number | undefined {
    return this.#process?.pid;
  }

  override get gpu(): Gpu | undefined {
    return this.#gpu ?? super.gpu;
  }

  override get status(): ServiceStatus {
    const { pid } = this;
    return { ...super.status, ...(pid === undefined ? {} : { pid }) };
  }

  /** The file that gets everything the process prints. */
  get logFile(): string {
    return join(this.context.layout.instance(this.id), 'logs', 'output.log');
  }

  /** Sends a signal to the process itself; false when it is gone. */
  protected signal(signal: NodeJS.Signals): boolean {
    return this.#process !== undefined && signalProcess(this.#process, signal);
  }

  /** How to start it; a pure value. */
  protected abstract command(): ProcessSpec;

  /** Prepares files before the process starts. Idempotent. */
  protected onPrepare?(run: Run): Promise<void>;

  protected override logOfRun(): ProbeContext['log'] {
    return this.#process && { file: this.logFile, from: this.#process.logOffset };
  }

  protected override async onStart(run: Run): Promise<void> {
    const { context, id } = this;
    await this.#prepareFolders(run);
    this.#gpu = await identifyGpu(context.gpu, run.signal);
    const { clock } = context;
    // Before anything is prepared: a leftover may still write what the new run is going to read.
    const hasSwept = await sweepLeftover(context, run.signal);
    await this.onPrepare?.(run);
    run.signal.throwIfAborted();
    const spec = this.command();
    const releaseMs = hasSwept ? portReleaseMs : 0;
    await expectPortsFree(id, spec.ports ?? [], { clock, ms: releaseMs, signal: run.signal });

    const record = processRecordFile(context.layout.run, id);
    const intent = { instance: id, run: run.id, bootId: bootId() ?? '', specHash: hashSpec(spec) };
    const writtenAt = () => new Date(clock.now()).toISOString();
    // What could not be ended stays on record: the next start looks for it.
    let isGone = true;
    run.defer(() => (isGone ? record.remove() : undefined));
    await record.write({ ...intent, state: 'intent', writtenAt: writtenAt() });
    run.signal.throwIfAborted();
    const env = { ...context.env, ...(this.#gpu ? gpuEnvironment(this.#gpu) : {}) };
    const child = await spawnProcess(spec, { instance: id, run: run.id, env, log: this.logFile });
    this.#process = child;
    run.defer(() => {
      this.#process = undefined;
    });
    if (!context.survive) run.defer(takeAlong({ ...child, run: run.id }, context));
    isGone = false;
    run.defer(async () => {
      await this.#stopTree(run, spec, child);
      isGone = true;
      await expectPortsFree(id, spec.ports ?? [], { clock, ms: portReleaseMs });
    });
    this.#watchExit(run, spec, child);
    const { pid, startTime, exe } = child;
    await record.write({
      ...intent,
      state: 'spawned',
      pid,
      startTime,
      ...(exe ? { exe } : {}),
      writtenAt: writtenAt(),
    });
    // One that is meant to end has not started anything of use before it did.
    if (spec.completes) await ended(run.signal);
  }

  async #prepareFolders(run: Run): Promise<void> {
    const { layout, temporaryRoot } = this.context;
    if (temporaryRoot) run.defer(() => rm(layout.root, { recursive: true, force: true }));
    await mkdir(layout.run, { recursive: true, mode: 0o700 });
    await mkdir(join(layout.instance(this.id), 'logs'), { recursive: true });
  }

  #watchExit(run: Run, spec: ProcessSpec, child: SpawnedProcess): void {
    void child.exited.then(async (exit) => {
      run.reportExit(exit);
      if (run.signal.aborted) return;
      if (spec.completes && exit.code === 0) return run.complete();
      // A log that cannot be read must not hide that the process is dead.
      const lines = await lastLines(this.logFile, { from: child.logOffset }).catch(() => []);
      const { code, signal } = exit;
      run.fail(
        new ProcessExitedError({ instance: this.id, exitCode: code, signal, lastLines: lines, log: this.logFile }),
      );
    });
  }

  async #stopTree(run: Run, spec: ProcessSpec, child: SpawnedProcess): Promise<void> {
    const { clock, log } = this.context;
    const { stopSignal = 'SIGTERM', graceMs = 10_000 } = spec;
    const identity: TreeIdentity = { run: run.id, pid: child.pid, startTime: child.startTime, exe: child.exe };
    const options = { instance: this.id, clock, stopSignal, graceMs, leaderWasOurs: true, force: run.force };
    const report = await stopTree(identity, options);
    await child.exited;
    if (report.killed.length > 0) log.warn(`${this.id}: had to be killed`, { instance: this.id, pids: report.killed });
  }
}

/** Ends the tree when our own process ends, whatever the reason, short of SIGKILL. Returns how to call that off. */
function takeAlong(
  identity: TreeIdentity,
  { layout, temporaryRoot }: Pick<ServiceContext, 'layout' | 'temporaryRoot'>,
): () => void {
  return onExit(() => {
    for (const each of findTree(identity, { leaderWasOurs: true })) signalProcess(each, 'SIGKILL');
    if (!temporaryRoot) return;
    try {
      rmSync(layout.root, { recursive: true, force: true });
    } catch {
      // a dying process may still write there; the system's own clean-up of its temporary folder gets the rest
    }
  });
}

const ended = (signal: AbortSignal) =>
  new Promise<void>((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true });
    if (signal.aborted) resolve();
  });
