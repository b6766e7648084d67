import type { Gpu, ServiceContext } from '@mgpu/core';
import { type ConnectorJob, type Logger, silentLogger } from '@mgpu/core/jobs';
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

let count = 0;
export const job = (input: unknown, more: Partial<ConnectorJob> = {}): ConnectorJob => ({
  id: `job-${count++}`,
  type: 'ollama',
  input,
  attempt: 1,
  resumed: undefined,
  ...more,
});
