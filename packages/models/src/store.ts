import { stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type Clock,
  type Layout,
  lockFolder,
  MgpuError,
  makeModelFolders,
  modelPathsText,
  readModelFolders,
  sharedFolders,
  systemClock,
  writeFileAtomically,
} from '@mgpu/core';
import { type EvictionGoal, type EvictionPlan, evict, planEviction } from './cache/evict.ts';
import { Ledger } from './cache/ledger.ts';
import { type ModelInfo, viewModels } from './cache/models.ts';
import { type ModelsUsage, usageOf } from './cache/usage.ts';
import { type VerifyResult, verifyModels } from './cache/verify.ts';
import type { ModelsConfig } from './config.ts';
import { Http } from './download/http.ts';
import { Space } from './download/space.ts';
import { ModelUnknownError } from './errors.ts';
import { readStaticModels, staticModelsPath } from './links/static-models.ts';
import type { ModelEntry } from './list/entry.ts';
import { emptyList, type ModelList, modelListPath, readListFile } from './list/read-list.ts';
import { modelPath } from './place.ts';
import { type PullOptions, type PullTools, pullModels, type WantedModel } from './pull.ts';
import { type ModelProgress, type ModelResult, type PullReport, pullReport, type SyncReport } from './report.ts';
import { findSource } from './sources/find-source.ts';
import { syncBucket } from './sync/sync-bucket.ts';

export interface ModelStoreOptions {
  readonly layout: Layout;
  readonly config: Omit<ModelsConfig, 'enabled'>;
  /** Where a proxy is named; nothing else is read there. Default: none. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Path of `static-models.json`. Default: in the shared folder. */
  readonly staticModels?: string | undefined;
  readonly clock?: Clock;
  readonly signal?: AbortSignal | undefined;
}

export interface SyncOptions {
  /** Only says what would be brought. Default false. */
  readonly checkOnly?: boolean;
  readonly onProgress?: (progress: ModelProgress) => void;
}

const gib = 1024 ** 3;

/**
 * The models below `<root>/shared`. What changes them holds a lock: a second one at the same time fails with
 * `CORE_FOLDER_BUSY`. Looking takes none.
 */
export class ModelStore {
  readonly #options: ModelStoreOptions;
  readonly #clock: Clock;
  /** Path of the list of models. */
  readonly listPath: string;

  constructor(options: ModelStoreOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.listPath = modelListPath(options.config, options.layout);
  }

  /** What the list says; empty when there is none. Throws `MODELS_LIST_INVALID`. */
  async readList(): Promise<ModelList> {
    return (await readListFile(this.listPath)) ?? emptyList;
  }

  /** Makes the folders of models and writes `shared/extra_model_paths.yaml`; returns what of the predecessors' file is wrong. */
  async makeFolders(): Promise<readonly string[]> {
    const { layout } = this.#options;
    const folders = await readModelFolders(layout);
    await makeModelFolders(folders);
    await writeFileAtomically(join(layout.shared, 'extra_model_paths.yaml'), await modelPathsText(folders), 0o644);
    return folders.problems;
  }

  /** Brings these models; options as for `PullOptions`. One that fails keeps no other from being brought. */
  async pull(entries: readonly ModelEntry[], options: PullOptions = {}): Promise<PullReport> {
    await using work = await this.#open();
    const { models, aliases } = await this.#pull(entries, work.tools, options);
    return pullReport(models, { aliases });
  }

  /** Brings what the list names, all of it or what goes by these names. Throws `MODELS_UNKNOWN`, `MODELS_LIST_INVALID`. */
  async pullListed(names: readonly string[] = [], options: PullOptions = {}): Promise<PullReport> {
    const list = await this.readList();
    const paths = list.entries.map(({ path, url }) => path ?? url);
    const wanted = names.map((name) => {
      const found = list.entries.find(({ path, url }) => url === name || (path !== undefined && isNamed(path, name)));
      if (!found) throw new ModelUnknownError({ name, known: paths });
      return found;
    });
    await using work = await this.#open();
    const { models, aliases } = await this.#pull(names.length > 0 ? wanted : list.entries, work.tools, options);
    const invalid = names.length > 0 ? [] : list.invalid.map(asFailure);
    return pullReport([...models, ...invalid], { aliases, warnings: list.warnings });
  }

  /**
   * Does what the start of a machine does: folders, what the list names and is missing, the bucket when a sync is due, and
   * `cacheGiB`. Throws `MODELS_LIST_INVALID`, `MODELS_STATIC_INVALID`, `CORE_FOLDER_BUSY`.
   */
  async sync({ checkOnly = false, onProgress }: SyncOptions = {}): Promise<SyncReport> {
    const { layout, config } = this.#options;
    const { download, testMode, cacheGiB } = config;
    const list = await this.readList();
    const problems = checkOnly ? [] : await this.makeFolders();
    await using work = await this.#open();
    const options = { checkOnly, ...(onProgress ? { onProgress } : {}) };
    const leaveOut = (entry: ModelEntry) =>
      download === false
        ? 'downloads are switched off'
        : testMode && !entry.isForTests
          ? 'it is none for tests'
          : undefined;
    const chosen = list.entries.filter((entry) => leaveOut(entry) === undefined);
    const skipped = list.entries.flatMap((entry): ModelResult[] => {
      const note = leaveOut(entry);
      return note === undefined ? [] : [{ path: entry.path ?? entry.url, source: entry.url, status: 'skipped', note }];
    });
    const listed = await this.#pull(chosen, work.tools, options);
    const bucket = await syncBucket(
      { layout, config, tools: work.tools, listed: new Set(list.entries.map(({ path }) => path)) },
      options,
    );
    const evicted =
      cacheGiB === undefined || checkOnly
        ? undefined
        : await this.#evict({ toBytes: cacheGiB * gib }, work.tools.ledger);
    const invalid = download === false ? [] : list.invalid.map(asFailure);
    const report = pullReport([...listed.models, ...invalid, ...skipped, ...bucket.models], {
      aliases: [...listed.aliases, ...bucket.aliases],
      warnings: [...problems, ...list.warnings, ...bucket.warnings],
    });
    const isFailed = bucket.about.error !== undefined;
    const outcome = isFailed
      ? report.outcome === 'failed' || report.models.length === 0
        ? 'failed'
        : 'partly failed'
      : report.outcome;
    return { ...report, outcome, bucket: bucket.about, evicted: evicted?.models.map(({ path }) => path) ?? [] };
  }

  /** Everything that is there or should be. */
  async models(): Promise<ModelInfo[]> {
    const { layout, config, staticModels: file } = this.#options;
    const statics = await readStaticModels(staticModelsPath({ file }, layout), layout);
    const { models } = new Ledger(layout);
    return viewModels({ layout, ledger: models, list: await this.readList(), statics, protect: config.protect });
  }

  /** Reads every byte of the models, or of those that go by these names. Throws `MODELS_UNKNOWN`. */
  async verify(
    names: readonly string[] = [],
    { onFile }: { onFile?: (path: string) => void } = {},
  ): Promise<VerifyResult[]> {
    const { layout, signal } = this.#options;
    const all = await this.models();
    const models = names.length === 0 ? all : all.filter(({ path }) => names.some((name) => isNamed(path, name)));
    const unknown = names.find((name) => !models.some(({ path }) => isNamed(path, name)));
    if (unknown !== undefined) throw new ModelUnknownError({ name: unknown, known: all.map(({ path }) => path) });
    const { models: ledger } = new Ledger(layout);
    return verifyModels(models, { shared: layout.shared, ledger, list: await this.readList(), signal, onFile });
  }

  /** What an eviction would remove. */
  async planEviction(goal: EvictionGoal): Promise<EvictionPlan> {
    return planEviction(await this.models(), goal);
  }

  /** Removes the least recently used models until the goal is met, or nothing is left that may go. */
  async evict(goal: EvictionGoal): Promise<EvictionPlan> {
    await using work = await this.#open();
    return this.#evict(goal, work.tools.ledger);
  }

  async usage(): Promise<ModelsUsage> {
    await this.makeFolders();
    return usageOf(await this.models(), this.#options.layout.shared);
  }

  /** Says that a model is used now, for file systems that do not note it. */
  async touch(path: string): Promise<void> {
    const at = join(this.#options.layout.shared, modelPath(path));
    const now = this.#clock.now() / 1_000;
    const { mtimeMs } = await stat(at);
    await utimes(at, now, mtimeMs / 1_000);
  }

  async #open(): Promise<AsyncDisposable & { readonly tools: PullTools }> {
    const { layout, config, env = {}, signal } = this.#options;
    const clock = this.#clock;
    const { concurrency, attempts, stall: flow, reserveGiB } = config;
    const lock = await lockFolder(sharedFolders(layout).models);
    const http = new Http(env);
    const space = new Space(reserveGiB * gib);
    const common = { shared: layout.shared, ledger: new Ledger(layout), now: () => clock.now(), concurrency, signal };
    return {
      tools: { ...common, http, clock, space, flow, attempts },
      async [Symbol.asyncDispose]() {
        await http[Symbol.asyncDispose]();
        lock[Symbol.dispose]();
      },
    };
  }

  async #pull(entries: readonly ModelEntry[], tools: PullTools, options: PullOptions) {
    const wanted: WantedModel[] = [];
    const invalid: { name: string; error: MgpuError }[] = [];
    for (const entry of entries) {
      try {
        const { url, sha256 } = entry;
        const source = findSource(url, { accounts: this.#options.config.accounts, hasChecksum: sha256 !== undefined });
        wanted.push({ source, ...entry });
      } catch (error) {
        if (!(error instanceof MgpuError)) throw error;
        invalid.push({ name: entry.path ?? entry.url, error });
      }
    }
    const { models, aliases } = await pullModels(wanted, tools, options);
    return { models: [...models, ...invalid.map(asFailure)], aliases };
  }

  async #evict(goal: EvictionGoal, ledger: Ledger): Promise<EvictionPlan> {
    const plan = planEviction(await this.models(), goal);
    await evict(plan, this.#options.layout.shared, ledger);
    return plan;
  }
}

const asFailure = ({ name, error }: { name: string; error: MgpuError }): ModelResult => ({
  path: name,
  source: name,
  status: 'failed',
  error,
});

/** By its path, with or without `models/`, or its file name. */
const isNamed = (path: string, name: string): boolean => path === name || path.endsWith(`/${name}`);
