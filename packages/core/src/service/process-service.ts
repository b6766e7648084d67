import { mkdirSync } from 'node:fs';
import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { ProcessExitedError, ProcMissingError, UnkillableError } from '../errors/core-errors.ts';
import { type Gpu, gpuEnvironment } from '../gpu/gpu.ts';
import { identifyGpu } from '../gpu/identify-gpu.ts';
import { keepLog } from '../instance-log/keep-log.ts';
import { lastLines } from '../instance-log/last-lines.ts';
import type { ProbeContext } from '../probe/probe.ts';
import { adoptProcess, isOrphaned } from '../process/adopt.ts';
import { expectPortsFree } from '../process/ports.ts';
import {
  hashSpec,
  type ProcessRecord,
  type ProcessRecordFile,
  processRecordFile,
  type SpawnedRecord,
} from '../process/process-record.ts';
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
const retryMs = 10;
/** Milliseconds for what follows the grace: SIGTERM, SIGKILL and the ports, each with a limit of its own. */
const forceMs = 30_000;

/** How a process is ended, from its spec or from its record. */
type StopFacts = Pick<SpawnedRecord, 'stopSignal' | 'graceMs' | 'ports'>;

type ProcessClaim = Pick<ProcessRecord, 'instance' | 'run' | 'bootId' | 'owner'>;

/**
 * A service that is a process: started in a session of its own, its output appended to
 * `<root>/<instance>/logs/output.log` by itself, remembered in a record, and ended with its whole tree.
 *
 * Where processes outlive us (`context.survive`), a start finds the one of a former daemon by its record and goes on with
 * it: same process, same run. Otherwise nothing starts over a leftover of its former run: that is swept first, and the
 * ports are seen free.
 */
export abstract class ProcessService<C extends object, E extends ServiceEvents = ServiceEvents> extends BaseService<
  C,
  E
> {
  #process: SpawnedProcess | undefined;
  #record: { readonly file: ProcessRecordFile; readonly content: SpawnedRecord } | undefined;
  #isAdopted = false;
  #isOutdated = false;
  #gpu: Gpu | undefined;

  get pid(): number | undefined {
    return this.#process?.pid;
  }

  override get gpu(): Gpu | undefined {
    return this.#gpu ?? super.gpu;
  }

  override get status(): ServiceStatus {
    const { pid } = this;
    return {
      ...super.status,
      ...(pid === undefined ? {} : { pid }),
      ...(this.#isAdopted ? { adopted: true as const } : {}),
      ...(this.#isOutdated ? { outdated: true as const } : {}),
    };
  }

  /** The file that gets everything the process prints. */
  override get logFile(): string {
    return join(this.context.layout.instance(this.id), 'logs', 'output.log');
  }

  /** Sends a signal to the process itself; false when it is gone. */
  protected signal(signal: NodeJS.Signals): boolean {
    return this.#process !== undefined && signalProcess(this.#process, signal);
  }

  /** How to start it; a pure value. */
  protected abstract command(): ProcessSpec;

  /**
   * Prepares files before the process starts. Idempotent; with `run.isAdopted` the process runs already, and what it uses
   * is to be left as it is.
   */
  protected onPrepare?(run: Run): Promise<void>;

  /** Brings an adopted process up to date as far as it can be while it runs. */
  protected onAdopted?(run: Run): Promise<void>;

  protected override logOfRun(): ProbeContext['log'] {
    return this.#process && { file: this.logFile, from: this.#process.logOffset };
  }

  protected override async onStart(run: Run): Promise<void> {
    const { context, id } = this;
    this.#prepareFolders(run);
    this.#gpu = await identifyGpu(context.gpu, { signal: run.signal, env: context.env });
    run.defer(() => {
      this.#gpu = undefined;
    });
    const record = processRecordFile(context.layout.run, id);
    const orphan = this.#orphanIn(record);
    if (orphan) await this.#adopt(run, record, orphan);
    else await this.#startNew(run, record);
  }

  protected override onRunning(_run: Run): void {
    const record = this.#record;
    if (!record || record.content.wasReady) return;
    try {
      record.file.write({ ...record.content, wasReady: true });
    } catch (error) {
      this.context.log.warn(`${this.id}: its record could not be brought up to date`, { error });
    }
  }

  async #startNew(run: Run, record: ProcessRecordFile): Promise<void> {
    const { context, id } = this;
    const { clock } = context;
    const claim = this.#claimOf(run);
    // Before anything is prepared: a leftover may still write what the new run is going to read.
    const hasSwept = await this.#takeInstance(run, record, claim);
    run.defer(() => record.remove());
    await this.onPrepare?.(run);
    run.signal.throwIfAborted();

    const spec = this.command();
    const { ports = [], graceMs = defaultGraceMs, stopSignal = 'SIGTERM' } = spec;
    await expectPortsFree(id, ports, { clock, ms: hasSwept ? portReleaseMs : 0, signal: run.signal });
    await this.#keepLog(run);
    const env = { ...context.env, ...(this.#gpu ? gpuEnvironment(this.#gpu) : {}) };
    const dir = context.layout.instance(id);
    const child = await spawnProcess(spec, { instance: id, dir, run: run.id, env, log: this.logFile });
    const stop: StopFacts = { stopSignal, graceMs, ports: [...ports] };
    this.#hold(run, child, stop);
    this.#watchExit(run, child, spec.completes === true);
    const { pid, startTime, exe, logOffset } = child;
    const content: SpawnedRecord = {
      ...claim,
      ...stop,
      state: 'spawned',
      pid,
      startTime,
      logOffset,
      startedAt: clock.elapsed(),
      wasReady: false,
      ...(exe ? { exe } : {}),
      specHash: hashSpec(spec),
      ...(this.#gpu ? { gpu: this.#gpu.uuid } : {}),
      writtenAt: this.#now(),
    };
    record.write(content);
    this.#remember(run, record, content);
    // One that is meant to end has not started anything of use before it did.
    if (spec.completes) await ended(run.signal);
  }

  override hasOrphan(): boolean {
    return this.#orphanIn(processRecordFile(this.context.layout.run, this.id)) !== undefined;
  }

  /** The process of a daemon that is dead, where it lives. One of another GPU is a leftover like any other. */
  #orphanIn(file: ProcessRecordFile): SpawnedRecord | undefined {
    if (!this.context.survive) return undefined;
    const record = file.read();
    const isOurs = record?.state === 'spawned' && isOrphaned(record) && record.gpu === this.gpu?.uuid;
    return isOurs ? record : undefined;
  }

  async #adopt(run: Run, file: ProcessRecordFile, orphan: SpawnedRecord): Promise<void> {
    const { clock, log } = this.context;
    this.adoptRun({ id: orphan.run, startedAt: orphan.startedAt, wasReady: orphan.wasReady });
    // Before the record is ours: when the log cannot be kept, the process stays as it was found.
    await this.#keepLog(run, { isWritten: true });
    const content: SpawnedRecord = { ...orphan, ...this.#claimOf(run), writtenAt: this.#now() };
    file.write(content);
    run.defer(() => file.remove());
    const child = adoptProcess(orphan, { clock, ending: run.signal });
    this.#isAdopted = true;
    run.defer(() => {
      this.#isAdopted = false;
    });
    this.#process = child;
    this.#remember(run, file, content);
    try {
      await this.onPrepare?.(run);
    } finally {
      // As with one that we started: it is ended before what was prepared for it is released.
      this.#hold(run, child, orphan);
    }
    run.signal.throwIfAborted();
    const spec = this.command();
    this.#isOutdated = hashSpec(spec) !== orphan.specHash;
    run.defer(() => {
      this.#isOutdated = false;
    });
    log.info(`${this.id}: goes on with process ${child.pid}`, { run: run.id, outdated: this.#isOutdated });
    this.#watchExit(run, child, spec.completes === true);
    await this.onAdopted?.(run);
    if (spec.completes) await ended(run.signal);
  }

  async #keepLog(run: Run, { isWritten = false } = {}): Promise<void> {
    const { layout, clock, log, logLimits: limits } = this.context;
    const keeper = await keepLog({
      file: this.logFile,
      root: layout.root,
      isWritten,
      clock,
      log,
      ...(limits ? { limits } : {}),
    });
    run.defer(() => keeper.close());
    // It may have taken a while.
    run.signal.throwIfAborted();
  }

  #remember(run: Run, file: ProcessRecordFile, content: SpawnedRecord): void {
    this.#record = { file, content };
    run.defer(() => {
      this.#record = undefined;
    });
  }

  /** From here on the process is ended with the run. */
  #hold(run: Run, child: SpawnedProcess, stop: StopFacts): void {
    this.#process = child;
    run.defer(() => {
      this.#process = undefined;
    });
    run.defer(() => this.#stopTree(run, child, stop), { timeoutMs: stop.graceMs + forceMs });
  }

  #prepareFolders(run: Run): void {
    const { layout, temporaryRoot, survive } = this.context;
    if (!survive) run.defer(takeAlong(() => this.#treeOf(run), temporaryRoot ? layout.root : undefined));
    if (temporaryRoot) {
      run.defer(async ({ state }) => {
        // After a failure its last words are worth more than a tidy folder.
        if (state === 'failed' && (await isWritten(this.logFile))) return;
        await rm(layout.root, { recursive: true, force: true });
      });
    }
    mkdirSync(layout.run, { recursive: true, mode: 0o700 });
    mkdirSync(join(layout.instance(this.id), 'logs'), { recursive: true });
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
    for (;;) {
      try {
        hasSwept = (await sweep(run.signal)) || hasSwept;
      } catch (error) {
        // Not over before that has ended, too.
        if (error instanceof UnkillableError) run.defer(() => sweep(run.force));
        throw error;
      }
      run.signal.throwIfAborted();
      if (record.create({ ...claim, state: 'intent', writtenAt: this.#now() })) return hasSwept;
      // Somebody was faster: what they wrote is looked at.
      await clock.sleep(retryMs, { signal: run.signal });
    }
  }

  #treeOf(run: Run): TreeIdentity {
    return this.#process ? { ...this.#process, run: run.id } : leaderless(run.id);
  }

  #now(): string {
    return new Date(this.context.clock.now()).toISOString();
  }

  #watchExit(run: Run, child: SpawnedProcess, completes: boolean): void {
    void child.exited.then(async (exit) => {
      run.reportExit(exit);
      if (run.signal.aborted) return;
      if (completes && exit.code === 0) return run.complete();
      // A log that cannot be read must not hide that the process is dead.
      const lines = await lastLines(this.logFile, { from: child.logOffset }).catch(() => []);
      const { code, signal } = exit;
      run.fail(
        new ProcessExitedError({ instance: this.id, exitCode: code, signal, lastLines: lines, log: this.logFile }),
      );
    });
  }

  async #stopTree(run: Run, child: SpawnedProcess, { stopSignal, graceMs, ports }: StopFacts): Promise<void> {
    const { id: instance } = this;
    const { clock, log } = this.context;
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
