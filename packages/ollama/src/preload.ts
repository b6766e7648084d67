import { type Clock, type HealthClaim, type Logger, toMgpuError } from '@mgpu/core';
import { amount } from './amount.ts';
import type { OllamaClient } from './client/ollama-client.ts';
import { lockPulls } from './pull-lock.ts';
import { PullMeter } from './pull-meter.ts';

/** How far a model is. */
export interface PullReport {
  readonly model: string;
  readonly state: 'pulling' | 'there' | 'failed';
  /** Bytes of the layers seen so far, and how many of them are there. */
  readonly completed: number;
  readonly total: number;
  /** Of `failed`. */
  readonly problem?: string;
}

export interface PreloadOptions {
  readonly instance: string;
  readonly client: OllamaClient;
  readonly models: readonly string[];
  /** Folder of the models: servers that share it do not pull into it at the same time. */
  readonly modelsDir: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
  readonly onReport: (report: PullReport) => void;
  readonly onHealth: (claim: HealthClaim) => void;
}

const retryMs = { first: 1_000, most: 300_000 };

/**
 * Pulls the models that a server lacks, one after the other, and tells how far it is. What was interrupted (a lost network, a
 * restart of either of us) is gone on with; what cannot be had is told, and tried again unless that is no use. Ends when no model
 * is left to try; rejects only with the signal's reason.
 */
export async function preloadModels(options: PreloadOptions): Promise<void> {
  const { models, clock, signal, onHealth } = options;
  let left = [...new Set(models)];
  const hopeless = new Map<string, string>();
  for (let pauseMs = retryMs.first; left.length > 0; pauseMs = Math.min(retryMs.most, pauseMs * 2)) {
    const failed = new Map<string, string>();
    for (const model of left) {
      const problem = await bring(model, options);
      if (problem) (problem.retryable ? failed : hopeless).set(model, problem.message);
    }
    left = [...failed.keys()];
    const problems = [...hopeless.values(), ...failed.values()];
    onHealth(problems.length === 0 ? { health: 'ready' } : { health: 'degraded', reason: problems.join('; ') });
    if (left.length > 0) await clock.sleep(pauseMs, { signal });
  }
}

/** Undefined when it is there. */
async function bring(model: string, options: PreloadOptions) {
  const { client, signal, clock, log, instance, modelsDir, onReport } = options;
  try {
    using _lock = await lockPulls(modelsDir, { clock, signal });
    const present = await client.list({ signal });
    if (present.some(({ name }) => name === withTag(model))) {
      onReport({ model, state: 'there', completed: 0, total: 0 });
      return undefined;
    }
    await pull(model, options);
    return undefined;
  } catch (error) {
    signal.throwIfAborted();
    const problem = toMgpuError(error, `${instance}: model ${model}`);
    log.warn(`${instance}: ${problem.message}`, { error: problem });
    onReport({ model, state: 'failed', completed: 0, total: 0, problem: problem.message });
    return problem;
  }
}

async function pull(model: string, options: PreloadOptions): Promise<void> {
  const { client, clock, log, signal, instance, onReport, onHealth } = options;
  const meter = new PullMeter(clock);
  let told = -1;
  log.info(`${instance}: pulls ${model}`);
  for await (const progress of client.pull(model, { signal })) {
    meter.see(progress);
    const { completed, total, percent, bytesPerSecond, secondsLeft } = meter;
    onReport({ model, state: 'pulling', completed, total });
    const tenth = Math.floor(percent / 10);
    if (tenth === told || total === 0) continue;
    told = tenth;
    const rate = bytesPerSecond === undefined ? '' : `, ${amount(bytesPerSecond)}/s, ${secondsLeft} s left`;
    log.info(`${instance}: ${model} ${Math.floor(percent)} % of ${amount(total)}${rate}`);
    onHealth({ health: 'ready', reason: `pulling ${model}: ${Math.floor(percent)} %` });
  }
  log.info(`${instance}: has ${model}`);
  onReport({ model, state: 'there', completed: meter.total, total: meter.total });
}

/** As Ollama lists it. */
/** The name as the server tells it. */
export const withTag = (model: string) => (model.lastIndexOf(':') > model.lastIndexOf('/') ? model : `${model}:latest`);
