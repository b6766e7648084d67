import { type Layout, toMgpuError } from '@mgpu/core';
import type { ModelsConfig } from '../config.ts';
import { type PullOptions, type PullTools, pullModels } from '../pull.ts';
import type { PullReport, SyncReport } from '../report.ts';
import { findBucket } from '../sources/find-source.ts';
import { bucketModels } from './bucket-models.ts';
import { notDue, readMarker, writeMarker } from './marker.ts';

export interface BucketOutcome extends Pick<PullReport, 'models' | 'aliases' | 'warnings'> {
  readonly about: SyncReport['bucket'];
}

export interface BucketSync {
  readonly layout: Layout;
  readonly config: Pick<ModelsConfig, 'sync' | 'testMode' | 'accounts'>;
  readonly tools: PullTools;
  /** Paths below `shared` that the list sees to: of a model that both have, the list says more. */
  readonly listed: ReadonlySet<string | undefined>;
}

const nothing = { models: [], aliases: [], warnings: [] } as const;

/**
 * Brings what a bucket has and is missing here, or has another size, where a sync is due. A failure is a value; it throws the
 * signal's reason alone.
 */
export async function syncBucket(
  { layout, config, tools, listed }: BucketSync,
  options: PullOptions,
): Promise<BucketOutcome> {
  const { sync, testMode } = config;
  const { signal, http, now } = tools;
  const name = testMode ? sync.testContainer : sync.container;
  if (sync.enabled === false) return { ...nothing, about: { skipped: 'it is switched off' } };
  if (name === undefined) return { ...nothing, about: { skipped: 'no bucket is named' } };
  let label = name;
  try {
    const bucket = findBucket(config);
    label = bucket.label;
    const isWhole = sync.dirs.length === 0;
    const startedAt = now();
    if (isWhole && !sync.force && !options.checkOnly) {
      const skipped = notDue(await readMarker(layout), { bucket: label, maxAgeDays: sync.maxAgeDays, now: startedAt });
      if (skipped !== undefined) return { ...nothing, about: { label, skipped } };
    }
    const { models: found, warnings } = await bucketModels(bucket, sync, http, signal);
    const wanted = found.filter(({ path }) => !listed.has(path));
    const { models, aliases } = await pullModels(wanted, tools, options);
    const isComplete = models.every(({ status }) => status === 'pulled' || status === 'present');
    if (isWhole && isComplete && !options.checkOnly) {
      await writeMarker(layout, { timestamp: startedAt / 1_000, bucket: label, provider: sync.provider ?? '' });
    }
    return { models, aliases, warnings, about: { label } };
  } catch (error) {
    signal?.throwIfAborted();
    return { ...nothing, about: { label, error: toMgpuError(error, label) } };
  }
}
