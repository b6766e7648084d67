import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import type { MgpuError } from '@mgpu/core';
import { DamagedError } from '../errors.ts';
import type { ModelList } from '../list/read-list.ts';
import type { ModelRecord } from './ledger.ts';
import type { ModelInfo } from './models.ts';

/** What a look at every byte of a model gave. */
export interface VerifyResult {
  readonly path: string;
  /** `unknown`: nobody has said what it should be; `missing`: a list names it. */
  readonly status: 'whole' | 'damaged' | 'missing' | 'unknown';
  readonly bytes: number;
  readonly error?: MgpuError;
}

export interface VerifyOptions {
  readonly shared: string;
  readonly ledger: Readonly<Record<string, ModelRecord>>;
  readonly list: ModelList;
  readonly signal?: AbortSignal | undefined;
  readonly onFile?: ((path: string) => void) | undefined;
}

/** Reads each model and holds it against the list, and against what came when it was brought. */
export async function verifyModels(models: readonly ModelInfo[], options: VerifyOptions): Promise<VerifyResult[]> {
  const results: VerifyResult[] = [];
  for (const { path, state, bytes } of models) {
    if (state === 'missing') results.push({ path, status: 'missing', bytes: 0 });
    if (state !== 'present') continue;
    options.signal?.throwIfAborted();
    options.onFile?.(path);
    results.push(await verifyOne(path, bytes, options));
  }
  return results;
}

async function verifyOne(
  path: string,
  bytes: number,
  { shared, ledger, list, signal }: VerifyOptions,
): Promise<VerifyResult> {
  const entry = list.entries.find((each) => each.path === path);
  const record = ledger[path];
  const size = entry?.size ?? record?.size;
  const sha256 = entry?.sha256 ?? record?.sha256;
  const damaged = (problem: string): VerifyResult => {
    return { path, status: 'damaged', bytes, error: new DamagedError({ path, problem }) };
  };
  if (size !== undefined && size !== bytes) return damaged(`it has ${bytes} bytes, not ${size}`);
  if (sha256 === undefined) return { path, status: size === undefined ? 'unknown' : 'whole', bytes };
  const found = await digestOf(join(shared, path), signal);
  return found === sha256 ? { path, status: 'whole', bytes } : damaged(`its SHA-256 is ${found}, not ${sha256}`);
}

async function digestOf(path: string, signal: AbortSignal | undefined): Promise<string> {
  const hash = createHash('sha256');
  const stream = createReadStream(path, { highWaterMark: 1 << 20, ...(signal ? { signal } : {}) });
  for await (const chunk of stream) hash.update(chunk as Uint8Array);
  return hash.digest('hex');
}
