import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { buffer } from 'node:stream/consumers';
import type { Gpu, ServiceContext } from '@mgpu/core';
import {
  type Artifact,
  type ConnectorIo,
  type ConnectorJob,
  type JobPreview,
  type JobProgress,
  type Logger,
  silentLogger,
} from '@mgpu/core/jobs';
import { leasePorts, testContext } from '@mgpu/core/testing';
import { type OllamaSimulationInput, ollamaProgram } from '@mgpu/simulator';
import { OllamaClient } from '../src/client/ollama-client.ts';
import type { OllamaOptions } from '../src/config.ts';
import { OllamaConnector } from '../src/connector/ollama-connector.ts';
import type { ConnectorSettings } from '../src/connector/settings.ts';
import { OllamaService } from '../src/ollama-service.ts';

export const simulator = [process.execPath, ollamaProgram()];

/** Something that can be talked to: a client, and what a connector is given. */
export interface TestServer extends AsyncDisposable {
  readonly client: OllamaClient;
  readonly url: URL;
}

/** A server of ours, simulated unless the options say otherwise. */
export interface OwnServer extends TestServer {
  readonly service: OllamaService;
  readonly context: ServiceContext;
  /** Replaces the faults of the simulator. */
  faults(faults: OllamaSimulationInput['faults']): Promise<void>;
  state(): Promise<Record<string, unknown>>;
}

export interface OwnServerOptions extends Omit<OllamaOptions, 'gpu' | 'gpus' | 'root'> {
  readonly sim?: OllamaSimulationInput;
  readonly gpu?: Gpu;
  /** Of the machine. */
  readonly gpus?: readonly Gpu[];
  /** Those of them that it uses. */
  readonly select?: number[];
  readonly root?: string;
  readonly log?: Logger;
  readonly port?: number;
}

export async function startServer({
  sim,
  port,
  gpu,
  gpus,
  root,
  log,
  select,
  ...options
}: OwnServerOptions = {}): Promise<OwnServer> {
  const lease = await leasePorts(1);
  const context = testContext({
    kind: 'ollama',
    ...(gpu ? { gpu } : {}),
    ...(gpus ? { gpus } : {}),
    ...(root === undefined ? {} : { root }),
    ...(log ? { log } : {}),
    env: { ...process.env, MGPU_SIM_OLLAMA: JSON.stringify({ tokenMs: 1, ...sim }) },
  });
  const listen = { port: port ?? lease.first };
  const service = new OllamaService(
    { command: simulator, ...options, ...(select ? { gpus: select } : {}), listen },
    context,
  );
  const { url } = service.endpoint;
  const client = new OllamaClient(url);
  const release = async () => {
    await client.close();
    await service.stop({ force: true });
    context[Symbol.dispose]();
    lease[Symbol.dispose]();
  };
  await service.start().catch(async (error) => {
    await release();
    throw error;
  });
  return {
    service,
    client,
    url,
    context,
    async faults(faults) {
      const answer = await fetch(new URL('sim/faults', url), { method: 'PUT', body: JSON.stringify(faults) });
      if (!answer.ok) throw new TypeError(await answer.text());
    },
    state: async () => (await fetch(new URL('sim/state', url))).json() as Promise<Record<string, unknown>>,
    [Symbol.asyncDispose]: release,
  };
}

/** Pulls models, to the end. */
export async function pulled(client: OllamaClient, ...models: readonly string[]): Promise<void> {
  for (const model of models) for await (const _ of client.pull(model));
}

export const all = async <T>(parts: AsyncIterable<T>): Promise<T[]> => {
  const list: T[] = [];
  for await (const part of parts) list.push(part);
  return list;
};

export function connect(
  { url }: { readonly url: URL },
  settings: Partial<ConnectorSettings> = {},
  local: Record<string, string> = {},
) {
  const connector = new OllamaConnector(
    { endpoint: { instance: 'ollama', kind: 'ollama', url, local }, log: silentLogger },
    settings,
  );
  return Object.assign(connector, { [Symbol.asyncDispose]: () => connector.close() });
}

/** A file that was stored, with its content. */
export interface StoredFile extends Artifact {
  readonly content: Buffer;
}

/** What a worker would be to a connector, for one job. */
export interface TestIo extends ConnectorIo {
  readonly stored: StoredFile[];
  readonly reports: JobProgress[];
  readonly previews: JobPreview[];
  readonly checkpoints: Readonly<Record<string, unknown>>[];
  abort(reason: unknown): void;
  /** Resolves at the first report that matches. */
  until(matches: (progress: JobProgress) => boolean): Promise<void>;
}

export function testIo(): TestIo {
  const controller = new AbortController();
  const waiting: { matches: (progress: JobProgress) => boolean; resolve: () => void }[] = [];
  const io: TestIo = {
    stored: [],
    reports: [],
    previews: [],
    checkpoints: [],
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
    async store({ name, mediaType = 'application/octet-stream', origin, source }) {
      const content = 'path' in source ? await readFile(source.path) : await buffer(source.stream);
      const sha256 = createHash('sha256').update(content).digest('hex');
      const path = `/artifacts/${name}`;
      const file = { name, path, mediaType, bytes: content.length, sha256, ...(origin ? { origin } : {}), content };
      io.stored.push(file);
      return file;
    },
  };
  return io;
}

let count = 0;
export const job = (input: unknown, more: Partial<ConnectorJob> = {}): ConnectorJob => ({
  id: `job-${count++}`,
  type: 'ollama',
  input,
  attempt: 1,
  resumed: undefined,
  ...more,
});
