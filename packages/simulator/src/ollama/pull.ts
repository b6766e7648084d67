import { existsSync, statSync } from 'node:fs';
import { appendFile, rename } from 'node:fs/promises';
import { setTimeout } from 'node:timers/promises';
import { ApiError } from './api-error.ts';
import type { FaultPlan } from './faults.ts';
import { type RemoteLayer, remoteModel } from './registry.ts';
import type { OllamaSimulation } from './script.ts';
import type { ModelStore } from './store.ts';

/** The connection is closed in the middle, without a word. */
export class ConnectionCut extends Error {}

interface Download {
  readonly done: Promise<void>;
  readonly abort: AbortController;
  readonly state: { completed: number };
  users: number;
}

const reportMs = 60;

/** Brings models from the registry: layers that are there are kept, half ones gone on with, one download for all who ask. */
export class Puller {
  readonly #store: ModelStore;
  readonly #simulation: OllamaSimulation;
  readonly #faults: FaultPlan;
  readonly #downloads = new Map<string, Download>();

  constructor(store: ModelStore, simulation: OllamaSimulation, faults: FaultPlan) {
    this.#store = store;
    this.#simulation = simulation;
    this.#faults = faults;
  }

  async *pull(name: string, signal: AbortSignal): AsyncGenerator<Record<string, unknown>> {
    yield { status: 'pulling manifest' };
    const remote = remoteModel(name, this.#simulation);
    if (!remote) throw new ApiError(500, 'pull model manifest: file does not exist');
    const { config, layers } = remote;
    for (const layer of [...layers, config]) yield* this.#bring(name, layer, signal);
    yield { status: 'verifying sha256 digest' };
    yield { status: 'writing manifest' };
    const plain = ({ content: _, ...rest }: RemoteLayer) => rest;
    this.#store.write(name, { config: plain(config), layers: layers.map(plain) });
    yield { status: 'success' };
  }

  async *#bring(name: string, layer: RemoteLayer, signal: AbortSignal): AsyncGenerator<Record<string, unknown>> {
    const { digest, size: total } = layer;
    const status = `pulling ${digest.slice(7, 19)}`;
    if (this.#store.hasBlob(digest)) return yield { status, digest, total, completed: total };
    const download = this.#join(name, layer);
    try {
      yield { status, digest, total };
      const ended = download.done.then(() => true);
      for (let isDone = false; !isDone; ) {
        isDone = await Promise.race([ended, setTimeout(reportMs, false, { signal })]);
        yield { status, digest, total, completed: download.state.completed };
      }
    } finally {
      download.users--;
      if (download.users === 0) download.abort.abort();
    }
  }

  #join(name: string, layer: RemoteLayer): Download {
    const running = this.#downloads.get(layer.digest);
    if (running) {
      running.users++;
      return running;
    }
    const abort = new AbortController();
    const state = { completed: 0 };
    const done = this.#download(name, layer, state, abort.signal).finally(() => this.#downloads.delete(layer.digest));
    done.catch(() => {}); // told to whoever waits for it
    const download = { done, abort, state, users: 1 };
    this.#downloads.set(layer.digest, download);
    return download;
  }

  async #download(name: string, layer: RemoteLayer, state: { completed: number }, signal: AbortSignal): Promise<void> {
    const { digest, size, content } = layer;
    const path = this.#store.blobPath(digest);
    const partial = `${path}-partial`;
    const { pullBytesPerSecond: rate } = this.#simulation;
    const chunk = rate === undefined ? Math.ceil(size / 4) : Math.max(1, Math.round((rate * reportMs) / 1_000));
    state.completed = existsSync(partial) ? statSync(partial).size : 0;
    while (state.completed < size) {
      signal.throwIfAborted();
      this.#strike(name, state.completed);
      await appendFile(partial, content.subarray(state.completed, state.completed + chunk));
      state.completed = Math.min(size, state.completed + chunk);
      if (rate !== undefined) await setTimeout(reportMs, undefined, { signal });
    }
    await rename(partial, path);
  }

  #strike(name: string, completed: number): void {
    const { breakPull } = this.#faults.current;
    if (breakPull === undefined || completed < (breakPull.atBytes ?? 0)) return;
    if (this.#faults.strikeRequest('breakPull', { model: name }) === undefined) return;
    if (breakPull.cut) throw new ConnectionCut();
    throw new ApiError(500, breakPull.message ?? 'max retries exceeded: unexpected EOF');
  }
}
