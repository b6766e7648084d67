import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import {
  BaseService,
  gitEnvironment,
  MgpuError,
  type Run,
  reportError,
  type ServiceContext,
  type ServiceEvents,
  standaloneContext,
} from '@mgpu/core';
import type { z } from 'zod';
import { Alarm } from './alarm.ts';
import { type WorkflowsConfig, workflowsSchema } from './config.ts';
import type { SyncReport } from './report.ts';
import type { WorkflowSync } from './workflow-sync.ts';

const ownSchema = workflowsSchema.omit({ enabled: true });

/** The service used alone; every key has a default. */
export type WorkflowsOptions = z.input<typeof ownSchema>;

export interface WorkflowsEvents extends ServiceEvents {
  /** A pass is over, whatever came of it. */
  synced: SyncReport;
}

/** Of what is told once and not with every pass. */
type Told = Set<string>;

/** Looks again after an edit for at most that many settling times: somebody who never stops is shared as well. */
const mostSettling = 10;

/**
 * Keeps the workflows of a machine in step with a repository while it runs: after each edit, and in intervals. Ready means that
 * the last pass went through; a repository that cannot be had is no failure, the health is `degraded` and says why. Without a
 * repository it is completed at once.
 */
export class WorkflowsService extends BaseService<Omit<WorkflowsConfig, 'enabled'>, WorkflowsEvents> {
  #alarm: Alarm | undefined;
  #isAsked = false;

  constructor(options: WorkflowsOptions = {}, context?: ServiceContext) {
    super(ownSchema.parse(options), context ?? standaloneContext({ kind: 'workflows' }));
  }

  /** The folder that is kept in step. */
  get dir(): string {
    return this.config.dir ?? join(this.context.layout.shared, 'workflows');
  }

  /** Begins a pass now, or after the one under way; `synced` tells what came of it. False while it does not run. */
  syncNow(): boolean {
    this.#isAsked = true;
    this.#alarm?.ring();
    return this.#alarm !== undefined;
  }

  protected override async onStart(run: Run): Promise<void> {
    const { config, context, dir, id: instance } = this;
    const { layout, temporaryRoot, clock, log, machine } = context;
    if (temporaryRoot) run.defer(() => rm(layout.root, { recursive: true, force: true }));
    if (config.url === undefined && !existsSync(join(dir, '.git'))) {
      log.info(`${instance}: there is no repository to keep ${dir} in step with`, { instance });
      return run.complete();
    }
    // Git and watchers are nothing that each start of a machine should load.
    const { WorkflowSync, watchFolder } = await import('./work.ts');
    const { url, branch, folder, exclude, maxFileMiB, deletions } = config;
    const env = () => gitEnvironment(layout, context.env);
    const rules = { url, branch, folder, exclude, deletions, maxFileBytes: maxFileMiB * 1_048_576 };
    const sync = new WorkflowSync({ dir, ...rules, machine: machine.machineId, env, clock });
    const told: Told = new Set();
    await this.#pass(run, sync, told);
    run.signal.throwIfAborted();
    const alarm = new Alarm(clock, run.signal);
    this.#alarm = alarm;
    run.defer(() => {
      this.#alarm = undefined;
    });
    if (config.watch) {
      const note = (error: unknown) =>
        log.warn(`${instance}: ${dir} cannot be watched, edits wait for the interval`, { error: reportError(error) });
      const target = folder === undefined ? dir : join(dir, folder);
      const unwatch = await watchFolder(target, () => alarm.ring(), note);
      run.defer(unwatch);
    }
    const loop = this.#loop(run, { sync, alarm, told });
    // A pass that is under way lets go of the network at once, and of the folder when that is whole.
    run.defer(() => loop);
  }

  async #loop(run: Run, work: { sync: WorkflowSync; alarm: Alarm; told: Told }): Promise<void> {
    const { sync, alarm, told } = work;
    const { intervalMs } = this.config;
    try {
      for (;;) {
        const isEdit = await alarm.sleep(intervalMs * (0.9 + Math.random() / 5));
        if (isEdit && !this.#isAsked && !(await this.#settled(sync, alarm))) continue;
        this.#isAsked = false;
        await this.#pass(run, sync, told);
      }
    } catch (error) {
      if (run.signal.aborted) return;
      this.context.log.error(`${this.id}: nothing is kept in step any more`, { instance: this.id, error });
      run.setHealth('notReady', reportError(error).message);
    }
  }

  /** Waits until nobody writes any more; false when there is nothing to share, as after what a pass brought. */
  async #settled(sync: WorkflowSync, alarm: Alarm): Promise<boolean> {
    for (let round = 0; round < mostSettling && (await alarm.sleep(this.config.settleMs)); round++);
    return sync.hasEdits().catch(() => true); // the pass says what is wrong
  }

  async #pass(run: Run, sync: WorkflowSync, told: Told): Promise<void> {
    const { log } = this.context;
    const instance = this.id;
    let report: SyncReport;
    try {
      report = await sync.sync({ signal: run.signal });
    } catch (error) {
      run.signal.throwIfAborted();
      this.#degrade(run, error, told);
      return;
    }
    run.signal.throwIfAborted();
    for (const { path, copy } of report.conflicts) {
      const here = copy === undefined ? 'it had been removed here' : `this machine's version is in ${copy}`;
      log.warn(`${instance}: ${path} was changed on both sides; ${here}`, { instance, path, copy });
    }
    if (report.restored.length > 0)
      log.warn(`${instance}: ${report.restored.length} files that were removed here were given back`, { instance });
    for (const { path, why } of report.left)
      this.#once(told, `${instance}: ${path} is not shared: ${why}`, (message) => log.warn(message, { instance }));
    if (report.problem) this.#degrade(run, report.problem, told);
    else {
      for (const each of told) if (each.startsWith('problem: ')) told.delete(each);
      run.setHealth('ready');
    }
    if (report.received || report.pushed) log.info(`${instance}: ${summaryOf(report)}`, { instance });
    this.emit('synced', report);
  }

  #degrade(run: Run, error: unknown, told: Told): void {
    const { message } = reportError(error);
    const hint = error instanceof MgpuError ? error.hint : undefined;
    run.setHealth('degraded', message);
    this.#once(told, `problem: ${message}`, () =>
      this.context.log.warn(`${this.id}: ${message}`, { instance: this.id, hint }),
    );
  }

  #once(told: Told, message: string, tell: (message: string) => void): void {
    if (told.has(message)) return;
    told.add(message);
    tell(message);
  }
}

function summaryOf({ committed, received, pushed, conflicts, commit = '' }: SyncReport): string {
  return [
    `at ${commit.slice(0, 12)}`,
    pushed ? `${committed.length} files of this machine shared` : '',
    received ? 'others received' : '',
    conflicts.length > 0 ? `${conflicts.length} conflicts` : '',
  ]
    .filter(Boolean)
    .join(', ');
}
