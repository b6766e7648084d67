import { mkdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { ProcessExitedError, ProcMissingError, UnkillableError } from '../errors/core-errors.ts';
import { lastLines } from '../files/last-lines.ts';
import { type Gpu, gpuEnvironment } from '../gpu/gpu.ts';
import { identifyGpu } from '../gpu/identify-gpu.ts';
import { keepLog } from '../instance-log/keep-log.ts';
import type { ProbeContext } from '../probe/probe.ts';
import { expectPortsFree } from '../process/ports.ts';
import { hashSpec, type ProcessRecord, type ProcessRecordFile, processRecordFile } from '../process/process-record.ts';
import { bootId, readProcess, signalProcess } from '../process/process-table.ts';
import { leaderless, type TreeIdentity } from '../process/process-tree.ts';
import { type ProcessSpec, type SpawnedProcess, spawnProcess } from '../process/spawn.ts';
import { stopTree } from '../process/stop-tree.ts';
import { sweepLeftover } from '../process/sweep-leftover.ts';
import { takeAlong } from '../process/take-along.ts';
import { BaseService } from './base-service.ts';
import type { Run } from './run.ts';
import type { ServiceEvents, ServiceStatus } from './types.ts';

const defaultGraceMs = 10_000;
const portReleaseMs = 5_000;
/** Milliseconds for what follows the grace: SIGTERM, SIGKILL and the ports, each with a limit of its own. */
const forceMs = 30_000;

type ProcessClaim = Pick<ProcessRecord, 'instance' | 'run' | 'bootId' | 'owner'>;

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
    const { clock } = context;
    await this.#prepareFolders(run);
    this.#gpu = await identifyGpu(context.gpu, { signal: run.signal, env: context.env });
    run.defer(() => {
      this.#gpu = undefined;
    });
    const claim = this.#claimOf(run);
    const record = processRecordFile(context.layout.run, id);
    // Before anything is prepared: a leftover may still write what the new run is going to read.
    const hasSwept = await this.#takeInstance(run, record, claim);
    run.defer(() => record.remove());
    await this.onPrepare?.(run);
    run.signal.throwIfAborted();

    const spec = this.command();
    const { ports = [], graceMs = defaultGraceMs } = spec;
    await expectPortsFree(id, ports, { clock, ms: hasSwept ? portReleaseMs : 0, signal: run.signal });
    const keeper = await keepLog({ file: this.logFile, root: context.layout.root, clock, log: context.log });
    run.defer(() => keeper.close());
    const env = { ...context.env, ...(this.#gpu ? gpuEnvironment(this.#gpu) : {}) };
    const child = await spawnProcess(spec, { instance: id, run: run.id, env, log: this.logFile });
    this.#process = child;
    run.defer(() => {
      this.#process = undefined;
    });
    run.defer(() => this.#stopTree(run, spec, child), { timeoutMs: graceMs + forceMs });
    this.#watchExit(run, spec, child);
    const { pid, startTime, exe } = child;
    await record.write({
      ...claim,
      state: 'spawned',
      pid,
      startTime,
      ...(exe ? { exe } : {}),
      specHash: hashSpec(spec),
      writtenAt: this.#now(),
    });
    // One that is meant to end has not started anything of use before it did.
    if (spec.completes) await ended(run.signal);
  }

  async #prepareFolders(run: Run): Promise<void> {
    const { layout, temporaryRoot, survive } = this.context;
    if (!survive) run.defer(takeAlong(() => this.#treeOf(run), temporaryRoot ? layout.root : undefined));
    if (temporaryRoot) {
      run.defer(async ({ state }) => {
        // After a failure its last words are worth more than a tidy folder.
        if (state === 'failed' && (await isWritten(this.logFile))) return;
        await rm(layout.root, { recursive: true, force: true });
      });
    }
    await mkdir(layout.run, { recursive: true, mode: 0o700 });
    await mkdir(join(layout.instance(this.id), 'logs'), { recursive: true });
  }

  #claimOf(run: Run): ProcessClaim {
    const boot = bootId();
    const self = readProcess(process.pid);
    if (boot === undefined || self === undefined) {
      throw new ProcMissingError({ instance: this.id, platform: process.platform });
    }
    const owner = { pid: self.pid, startTime: self.startTime };
    return { instance: this.id, run: run.id, bootId: boot, owner };
  }

  /** Puts the run on record, over nothing but what a former one left; true when that had to be ended first. */
  async #takeInstance(run: Run, record: ProcessRecordFile, claim: ProcessClaim): Promise<boolean> {
    const { clock, log } = this.context;
    const sweep = (hurry: AbortSignal) => sweepLeftover(record, { instance: this.id, clock, log, hurry });
    let hasSwept = false;
    do {
      try {
        hasSwept = (await sweep(run.signal)) || hasSwept;
      } catch (error) {
        // Not over before that has ended, too.
        if (error instanceof UnkillableError) run.defer(() => sweep(run.force));
        throw error;
      }
      run.signal.throwIfAborted();
    } while (!(await record.create({ ...claim, state: 'intent', writtenAt: this.#now() })));
    return hasSwept;
  }

  #treeOf(run: Run): TreeIdentity {
    return this.#process ? { ...this.#process, run: run.id } : leaderless(run.id);
  }

  #now(): string {
    return new Date(this.context.clock.now()).toISOString();
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
    const { id: instance } = this;
    const { clock, log } = this.context;
    const { stopSignal = 'SIGTERM', graceMs = defaultGraceMs, ports = [] } = spec;
    const { force } = run;
    await stopTree(this.#treeOf(run), { instance, clock, log, stopSignal, graceMs, leaderWasOurs: true, force });
    await child.exited;
    await expectPortsFree(instance, ports, { clock, ms: portReleaseMs, hurry: force });
  }
}

const isWritten = (file: string) =>
  stat(file).then(
    ({ size }) => size > 0,
    () => false, // there never was one
  );

const ended = (signal: AbortSignal) =>
  new Promise<void>((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true });
    if (signal.aborted) resolve();
  });
