import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { buffer } from 'node:stream/consumers';
import type { ConnectorIo, JobPreview, JobProgress, ProducedFile } from '../jobs/connector.ts';
import type { Artifact } from '../jobs/job.ts';
import { silentLogger } from '../logs/logger.ts';

/** A file that was stored, with its content. */
export interface StoredFile extends Artifact {
  readonly content: Buffer;
}

/** What a worker is to a connector for one job, and everything that the connector gave it, in order. */
export interface TestIo extends ConnectorIo {
  readonly stored: StoredFile[];
  readonly reports: JobProgress[];
  readonly previews: JobPreview[];
  readonly checkpoints: Readonly<Record<string, unknown>>[];
  /** For each stored file whether it came by its path, not as a stream. */
  readonly fromDisk: boolean[];
  /** Fires the signal: the worker stops, or the job is cancelled. */
  abort(reason: unknown): void;
  /** Resolves at the first report that matches. */
  until(matches: (progress: JobProgress) => boolean): Promise<void>;
}

/** Stores in memory. */
export function testIo(): TestIo {
  const controller = new AbortController();
  const waiting: { matches: (progress: JobProgress) => boolean; resolve: () => void }[] = [];
  const io: TestIo = {
    stored: [],
    reports: [],
    previews: [],
    checkpoints: [],
    fromDisk: [],
    signal: controller.signal,
    log: silentLogger,
    abort: (reason) => controller.abort(reason),
    until(matches) {
      if (io.reports.some(matches)) return Promise.resolve();
      return new Promise((resolve) => waiting.push({ matches, resolve }));
    },
    progress(progress) {
      io.reports.push(progress);
      for (const each of waiting) if (each.matches(progress)) each.resolve();
    },
    preview: (preview) => void io.previews.push(preview),
    checkpoint: async (state) => void io.checkpoints.push(structuredClone(state)),
    async store(file) {
      const content = await contentOf(file);
      io.fromDisk.push('path' in file.source);
      const artifact: StoredFile = {
        name: file.name,
        path: `/artifacts/${file.name}`,
        mediaType: file.mediaType ?? 'application/octet-stream',
        bytes: content.length,
        sha256: createHash('sha256').update(content).digest('hex'),
        ...(file.origin ? { origin: { ...file.origin } } : {}),
        content,
      };
      io.stored.push(artifact);
      return artifact;
    },
  };
  return io;
}

const contentOf = ({ source }: ProducedFile): Promise<Buffer> =>
  'path' in source ? readFile(source.path) : buffer(source.stream);
