import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Layout, writeFileAtomically } from '@mgpu/core';
import { ignoreGone } from '../cache/survey.ts';

/** When a bucket was last brought over as a whole, and which. In the predecessors' form, `shared/.models_synced`. */
export interface SyncMarker {
  /** Seconds since the epoch. */
  readonly timestamp: number;
  /** Address of the bucket; undefined where a predecessor wrote none. */
  readonly bucket?: string;
}

const markerPath = ({ shared }: Pick<Layout, 'shared'>) => join(shared, '.models_synced');

/** Undefined when there is none, or one without a time. */
export async function readMarker(layout: Pick<Layout, 'shared'>): Promise<SyncMarker | undefined> {
  const text = (await readFile(markerPath(layout), 'utf8').catch(ignoreGone)) ?? '';
  const [, timestamp] = /^TIMESTAMP=(\d+)\s*$/m.exec(text) ?? [];
  const [, bucket] = /^BUCKET=(\S+)\s*$/m.exec(text) ?? [];
  if (timestamp === undefined) return undefined;
  return { timestamp: Number(timestamp), ...(bucket === undefined ? {} : { bucket }) };
}

export async function writeMarker(
  layout: Pick<Layout, 'shared'>,
  { timestamp, bucket, provider }: SyncMarker & { readonly provider: string },
): Promise<void> {
  const lines = [`TIMESTAMP=${Math.floor(timestamp)}`, `PROVIDER=${provider}`, `BUCKET=${bucket}`];
  await writeFileAtomically(markerPath(layout), `${lines.join('\n')}\n`, 0o644);
}

/** Why no sync is due; undefined when one is. */
export function notDue(
  marker: SyncMarker | undefined,
  { bucket, maxAgeDays, now }: { readonly bucket: string; readonly maxAgeDays: number; readonly now: number },
): string | undefined {
  if (marker?.bucket !== bucket) return undefined;
  const ageDays = (now / 1_000 - marker.timestamp) / 86_400;
  if (ageDays < 0 || ageDays > maxAgeDays) return undefined;
  return `the last sync is ${ageDays.toFixed(1)} days old, and one is due after ${maxAgeDays}`;
}
