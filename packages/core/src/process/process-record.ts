import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { z } from 'zod';
import { type BootFile, bootFile } from '../files/versioned.ts';
import type { ListenAddress } from './ports.ts';
import type { ProcessSpec } from './spawn.ts';

const identity = { pid: z.number().int().positive(), startTime: z.number().nonnegative() };

const common = z.object({
  bootId: z.string(),
  instance: z.string(),
  run: z.string(),
  /** Whoever started it and watches it. While that lives, nobody else may touch the run. */
  owner: z.object(identity),
  writtenAt: z.string(),
});

const recordSchema = z.discriminatedUnion('state', [
  /** Written before anything is prepared. */
  common.extend({ state: z.literal('intent') }),
  /** Written after the spawn. */
  common.extend({
    state: z.literal('spawned'),
    ...identity,
    exe: z.string().optional(),
    /** UUID of the GPU it was started on. */
    gpu: z.string().optional(),
    specHash: z.string(),
    /** How it is to be stopped, by whoever does not know its settings. */
    stopSignal: z.custom<NodeJS.Signals>((value) => typeof value === 'string'),
    graceMs: z.number().nonnegative(),
    ports: z.array(z.custom<ListenAddress>()),
    /** Where its own output begins. */
    logOffset: z.number().nonnegative(),
    /** Monotonic milliseconds of this boot. */
    startedAt: z.number(),
    /** It was ready once. */
    wasReady: z.boolean(),
  }),
]);

/** What is remembered of an instance's process across the death of whoever started it: `run/<instance>.json`. */
export type ProcessRecord = z.infer<typeof recordSchema>;

export type SpawnedRecord = Extract<ProcessRecord, { state: 'spawned' }>;

export type ProcessRecordFile = BootFile<ProcessRecord>;

export const processRecordFile = (runDir: string, instance: string): ProcessRecordFile =>
  bootFile(join(runDir, `${instance}.json`), 1, recordSchema);

/** Changes when the way the process is started changes; paths of our own installation do not count. */
export function hashSpec(spec: ProcessSpec): string {
  const { file, args = [], cwd = '', env = {}, stopSignal = '', inputs = '' } = spec;
  const movable = (text: string) =>
    text.replaceAll(process.execPath, 'node').replace(/^.*\/(?:@mgpu|packages)\/([a-z-]+)\/dist\//s, 'mgpu:$1/');
  const added = Object.entries(env).map(([name, value]) => [name, value === undefined ? null : movable(value)]);
  const text = JSON.stringify([
    movable(file),
    args.map(movable),
    cwd,
    added.sort(),
    stopSignal,
    inputs.split('"').map(movable),
  ]);
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}
