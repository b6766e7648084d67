import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type Layout, versionedFile } from '@mgpu/core';
import { z } from 'zod';

const recordSchema = z.object({
  /** Address without secrets. */
  source: z.string(),
  size: z.number(),
  sha256: z.string(),
  /** Of the file as it was brought: what has another was changed by somebody. */
  mtimeMs: z.number(),
  /** When it was brought, in milliseconds since the epoch. */
  at: z.number(),
});

const ledgerSchema = z.object({ models: z.record(z.string(), recordSchema) });

/** What is remembered of a model that was brought. */
export type ModelRecord = z.output<typeof recordSchema>;

/** What was brought, by path below `shared`; in `state/models.json`. One process at a time changes it. */
export class Ledger {
  readonly #path: string;
  #models: Record<string, ModelRecord> | undefined;
  #writing: Promise<void> = Promise.resolve();

  constructor({ state }: Pick<Layout, 'state'>) {
    this.#path = join(state, 'models.json');
  }

  /** Throws `CORE_FILE_INVALID`, `CORE_FILE_VERSION`. */
  get models(): Readonly<Record<string, ModelRecord>> {
    this.#models ??= this.#file.read()?.models ?? {};
    return this.#models;
  }

  /** Undefined takes it out. On disk when it resolves. */
  async set(path: string, record: ModelRecord | undefined): Promise<void> {
    const { [path]: _, ...others } = this.models;
    this.#models = record === undefined ? others : { ...others, [path]: record };
    // One after the other, each with all that is known by then.
    this.#writing = this.#writing.catch(() => {}).then(() => this.#write());
    await this.#writing;
  }

  get #file() {
    return versionedFile(this.#path, 1, ledgerSchema);
  }

  async #write(): Promise<void> {
    await mkdir(dirname(this.#path), { recursive: true });
    await this.#file.write({ models: this.models });
  }
}
