import { lstat, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { forEachBounded, type MgpuError, retrying, toMgpuError } from '@mgpu/core';
import type { Ledger, ModelRecord } from './cache/ledger.ts';
import { ignoreGone } from './cache/survey.ts';
import { type DownloadTools, download } from './download/download.ts';
import { BadAnswerError, TakenError, waitAskedFor } from './errors.ts';
import { type LinkResult, makeLinks } from './links/static-models.ts';
import { modelPath } from './place.ts';
import type { ModelProgress, ModelResult } from './report.ts';
import type { Source } from './sources/source.ts';

/** A model that is to be at its place. */
export interface WantedModel {
  readonly source: Source;
  /** Path below `shared`; undefined where only the source knows its name. */
  readonly path?: string | undefined;
  /** Folder below `shared`, for those. */
  readonly folder?: string | undefined;
  readonly size?: number | undefined;
  readonly sha256?: string | undefined;
  /** Paths below `shared` of links to it. */
  readonly aliases?: readonly string[];
}

export interface PullTools extends Omit<DownloadTools, 'signal'> {
  readonly shared: string;
  readonly ledger: Ledger;
  readonly now: () => number;
  readonly concurrency: number;
  readonly signal?: AbortSignal | undefined;
}

export interface PullOptions {
  /** Brings what is there anew as well; the old file stays until the new one is whole. Default false. */
  readonly force?: boolean;
  /** Only says what would be brought. Default false. */
  readonly checkOnly?: boolean;
  readonly onProgress?: (progress: ModelProgress) => void;
}

/** What a pull would do about a model. */
type Standing =
  | { readonly state: 'present'; readonly bytes: number; readonly sha256?: string }
  | { readonly state: 'wanted'; readonly replace: boolean };

/** Brings models to their places, a few at a time; one that fails keeps no other from being brought. */
export async function pullModels(
  models: readonly WantedModel[],
  tools: PullTools,
  options: PullOptions = {},
): Promise<{ readonly models: readonly ModelResult[]; readonly aliases: readonly LinkResult[] }> {
  const results = new Map<WantedModel, ModelResult>();
  const places = new Set<string>();
  await forEachBounded(models, tools.concurrency, async (model) => {
    tools.signal?.throwIfAborted();
    results.set(model, await new Pull(model, tools, { ...options, places }).run());
  });
  const links = models.flatMap((model) => {
    const { status, path } = results.get(model) as ModelResult;
    const isThere = !options.checkOnly && (status === 'pulled' || status === 'present');
    return isThere ? (model.aliases ?? []).map((target) => ({ source: path, target })) : [];
  });
  return {
    models: models.map((model) => results.get(model) as ModelResult),
    aliases: await makeLinks({ links }, tools),
  };
}

class Pull {
  readonly #model: WantedModel;
  readonly #tools: PullTools;
  readonly #options: PullOptions & { readonly places: Set<string> };
  #path: string | undefined;
  #sha256: string | undefined;

  /** `places`: those that others of the same pull have taken. */
  constructor(model: WantedModel, tools: PullTools, options: PullOptions & { readonly places: Set<string> }) {
    this.#model = model;
    this.#tools = tools;
    this.#options = options;
    this.#path = model.path;
    this.#sha256 = model.sha256;
  }

  async run(): Promise<ModelResult> {
    try {
      return await this.#bring();
    } catch (error) {
      this.#tools.signal?.throwIfAborted();
      const failure = toMgpuError(error, this.#name);
      this.#tell('failed', failure);
      return { path: this.#name, source: this.#model.source.label, status: 'failed', error: failure };
    }
  }

  async #bring(): Promise<ModelResult> {
    const source = this.#model.source.label;
    const known = this.#path === undefined ? undefined : await this.#standing(this.#path);
    if (known?.state === 'present') return { path: this.#name, source, status: 'present', ...factsOf(known) };
    await this.#ask();
    const path = this.#path as string;
    const { places } = this.#options;
    if (places.has(path)) throw new TakenError({ path, problem: 'another model of this pull comes to the same place' });
    places.add(path);
    const standing = known ?? (await this.#standing(path));
    if (standing.state === 'present') return { path, source, status: 'present', ...factsOf(standing) };
    const { size } = this.#model;
    if (this.#options.checkOnly)
      return { path, source, status: 'planned', ...(size === undefined ? {} : { bytes: size }) };
    const brought = await this.#download(path, standing.replace);
    return { path, source, status: 'pulled', bytes: brought.size, sha256: brought.sha256 };
  }

  /** What only the host knows: the name, and the checksum where the list has none. */
  async #ask(): Promise<void> {
    const { source, folder = 'models/checkpoints' } = this.#model;
    const isComplete = this.#path !== undefined && this.#sha256 !== undefined;
    const { attempts, clock, http, signal } = this.#tools;
    const ask = async () => (isComplete ? {} : ((await source.ask?.(http, signal)) ?? {}));
    const onRetry = (error: MgpuError) => this.#tell('waiting', error);
    const facts = await retrying(ask, { attempts, clock, signal, leastWaitMs: waitAskedFor, onRetry });
    this.#sha256 ??= facts.sha256;
    if (this.#path !== undefined) return;
    if (facts.name === undefined) {
      throw new BadAnswerError({
        url: source.label,
        problem: 'nobody says what its file is called; give a path',
        mayPass: false,
      });
    }
    // A host's word, which must not lead anywhere.
    this.#path = modelPath(`${folder}/${basename(facts.name)}`);
  }

  async #standing(path: string): Promise<Standing> {
    const at = join(this.#tools.shared, path);
    const own = await lstat(at).catch(ignoreGone);
    if (!own) return { state: 'wanted', replace: false };
    const facts = await stat(at).catch(ignoreGone);
    const taken = (problem: string) => new TakenError({ path, problem });
    if (facts && !facts.isFile()) throw taken('it is no file');
    if (!facts || own.isSymbolicLink()) {
      if (facts && this.#fits(facts.size, undefined)) return { state: 'present', bytes: facts.size };
      throw taken(facts ? `it is a link to a file of ${facts.size} bytes` : 'it is a link that leads nowhere');
    }
    if (this.#options.force) return { state: 'wanted', replace: true };
    const record = this.#tools.ledger.models[path];
    const isOurs = record !== undefined && isAsBrought(record, facts);
    if (this.#fits(facts.size, isOurs ? record.sha256 : undefined)) {
      return { state: 'present', bytes: facts.size, ...(isOurs ? { sha256: record.sha256 } : {}) };
    }
    // What we brought ourselves, and nobody touched since, gives way to what is wanted now.
    if (isOurs) return { state: 'wanted', replace: true };
    throw taken(`it has ${facts.size} bytes, not ${this.#model.size}`);
  }

  /** Whether a file of that size, and checksum where it is known, is what is wanted. */
  #fits(size: number, sha256: string | undefined): boolean {
    const { size: wantedSize } = this.#model;
    if (wantedSize !== undefined && wantedSize !== size) return false;
    return sha256 === undefined || this.#sha256 === undefined || sha256 === this.#sha256;
  }

  async #download(path: string, replace: boolean) {
    const { ledger, shared, now } = this.#tools;
    const { source, size } = this.#model;
    const to = join(shared, path);
    const brought = await download(
      {
        source,
        to,
        size,
        sha256: this.#sha256,
        replace,
        onProgress: (progress) => this.#options.onProgress?.({ path, state: 'running', ...progress }),
        onRetry: (error) => this.#tell('waiting', error),
      },
      this.#tools,
    );
    const { mtimeMs } = await stat(to);
    await ledger.set(path, { source: source.label, ...brought, mtimeMs, at: now() });
    this.#options.onProgress?.({ path, state: 'done', received: brought.size, total: brought.size });
    return brought;
  }

  get #name(): string {
    return this.#path ?? this.#model.source.label;
  }

  #tell(state: 'waiting' | 'failed', error: MgpuError): void {
    this.#options.onProgress?.({ path: this.#name, state, received: 0, error });
  }
}

/** Whether a file is as it was when it was brought. */
export const isAsBrought = (record: ModelRecord, facts: { readonly size: number; readonly mtimeMs: number }): boolean =>
  record.size === facts.size && record.mtimeMs === facts.mtimeMs;

const factsOf = ({ bytes, sha256 }: { bytes: number; sha256?: string }) => ({
  bytes,
  ...(sha256 === undefined ? {} : { sha256 }),
});
