import { existsSync } from 'node:fs';
import {
  BaseService,
  type Logger,
  makeModelFolders,
  type Run,
  readModelFolders,
  type ServiceContext,
  standaloneContext,
  toMgpuError,
} from '@mgpu/core';
import { decided, type ModelsConfig, type ModelsInput, modelsSchema } from './config.ts';
import { modelListPath } from './list/read-list.ts';
import type { ModelProgress, SyncReport } from './report.ts';

/** What `new ModelsService` takes: any keys of its configuration, and where the models lie. */
export interface ModelsOptions extends Omit<ModelsInput, 'enabled'> {
  /** Folder whose `shared/models` is meant. Default: a temporary one, removed at the stop. Ignored with a context. */
  readonly root?: string;
}

/** Milliseconds between two lines of the log about how downloads fare. */
const toldEveryMs = 30_000;

/**
 * Makes the folders of models, brings what its list and its bucket name and is missing, and is completed. Models that fail are
 * told in the log and in `report`; they are no failure of the service.
 */
export class ModelsService extends BaseService<Omit<ModelsConfig, 'enabled'>> {
  #report: SyncReport | undefined;

  constructor(options: ModelsOptions, context: ServiceContext = alone(options)) {
    const { root: _, ...config } = options;
    super(modelsSchema.parse(config), context);
  }

  /** What became of the models at the last start; undefined before it, and where there was nothing to bring. */
  get report(): SyncReport | undefined {
    return this.#report;
  }

  protected override async onStart(run: Run): Promise<void> {
    this.#report = undefined;
    if (!this.config.background) {
      await this.#work(run);
      return run.complete();
    }
    const work = this.#work(run).then(
      () => run.complete(),
      (error) => {
        if (!run.signal.aborted) run.fail(toMgpuError(error, this.id));
      },
    );
    run.defer(() => work);
  }

  async #work(run: Run): Promise<void> {
    const { context, id } = this;
    const { layout, log, clock, env, machine } = context;
    const config = decided(this.config, machine.gpus);
    const { download, sync, testCopy } = config;
    const container = config.testMode ? sync.testContainer : sync.container;
    const hasBucket = sync.enabled && container !== undefined;
    const list = modelListPath(config, layout);
    const left = [
      ...(this.config.download === 'auto' && !download && existsSync(list) ? ['what the list names (download)'] : []),
      ...(this.config.sync.enabled === 'auto' && !sync.enabled && container ? ['the bucket (sync.enabled)'] : []),
    ];
    if (left.length > 0)
      log.info(`models: left alone for simulated GPUs unless asked for: ${left.join(', ')}`, { instance: id });
    if (!hasBucket && !testCopy.enabled && !existsSync(list) && config.cacheGiB === undefined) {
      const folders = await readModelFolders(layout);
      for (const problem of folders.problems) log.warn(problem, { instance: id });
      await makeModelFolders(folders);
      return log.info(`models: there is no list at ${list}, and no bucket`, { instance: id });
    }
    // Downloads, parsers and clouds are nothing that each start of a machine should load.
    const { ModelStore, makeTestCopy } = await import('./work.ts');
    run.signal.throwIfAborted();
    const store = new ModelStore({ layout, config, env, clock, signal: run.signal });
    const copy = await makeTestCopy(testCopy, layout);
    if (copy !== undefined) log.info(`models: the test copy is ${copy}`, { instance: id });
    const report = await store.sync({ onProgress: progressLog(log, id, () => clock.elapsed()) });
    run.signal.throwIfAborted();
    this.#report = report;
    this.#tell(run, report);
  }

  #tell(run: Run, { warnings, models, aliases, bucket, evicted, summary }: SyncReport): void {
    const { id, context } = this;
    const { log } = context;
    for (const warning of warnings) log.warn(`models: ${warning}`, { instance: id });
    const failed = [...models, ...aliases].filter(({ status }) => status === 'failed');
    for (const { path, error } of failed) log.warn(`models: ${path}: ${error?.message}`, { instance: id, error });
    if (bucket.error)
      log.warn(`models: ${bucket.label}: ${bucket.error.message}`, { instance: id, error: bucket.error });
    if (bucket.skipped) log.info(`models: the bucket is left alone: ${bucket.skipped}`, { instance: id });
    if (evicted.length > 0) log.info(`models: evicted ${evicted.join(', ')}`, { instance: id });
    const troubles = [...failed.map(({ path }) => path), ...(bucket.error ? [bucket.label ?? 'the bucket'] : [])];
    if (troubles.length === 0) return void log.info(`models: ${summary}`, { instance: id });
    log.warn(`models: ${summary} (${troubles.join(', ')})`, { instance: id });
    run.setHealth('degraded', summary);
  }
}

/** A line when a model is there, waits or failed, and every half minute how it fares. */
function progressLog(log: Logger, instance: string, elapsed: () => number): (progress: ModelProgress) => void {
  const told = new Map<string, number>();
  return ({ path, state, received, total, error }) => {
    if (state === 'done') return log.info(`models: ${path} is there, ${received} bytes`, { instance });
    if (state === 'waiting') return log.warn(`models: ${path} is tried again: ${error?.message}`, { instance });
    if (state === 'failed') return;
    const before = told.get(path) ?? Number.NEGATIVE_INFINITY;
    if (elapsed() - before < toldEveryMs) return;
    told.set(path, elapsed());
    log.info(`models: ${path}: ${received} of ${total ?? 'unknown'} bytes`, { instance });
  };
}

const alone = ({ root }: ModelsOptions): ServiceContext =>
  standaloneContext({ kind: 'models', ...(root === undefined ? {} : { root }) });
