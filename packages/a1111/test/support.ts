import { cpuGpu, type Logger, type ServiceContext, silentLogger } from '@mgpu/core';
import type { ConnectorJob } from '@mgpu/core/jobs';
import { leasePorts, testContext } from '@mgpu/core/testing';
import { type A1111SimulationInput, a1111Program } from '@mgpu/simulator';
import { A1111Service } from '../src/a1111-service.ts';
import { A1111Client } from '../src/client/a1111-client.ts';
import type { A1111Options } from '../src/config.ts';
import { A1111Connector } from '../src/connector/a1111-connector.ts';
import type { ConnectorSettings } from '../src/connector/settings.ts';

export const simulator = [process.execPath, a1111Program()];

/** An engine that answers, wherever it is, and a client of it. */
export interface TestEngine extends AsyncDisposable {
  readonly url: URL;
  readonly client: A1111Client;
}

/** One of our own, simulated. */
export interface SimulatedEngine extends TestEngine {
  readonly service: A1111Service;
  readonly context: ServiceContext;
  /** Replaces the faults of the simulator. */
  faults(faults: A1111SimulationInput['faults']): Promise<void>;
}

export interface TestEngineOptions extends A1111Options {
  readonly sim?: A1111SimulationInput;
  readonly env?: Readonly<Record<string, string>>;
  readonly log?: Logger;
}

export async function startEngine(options: TestEngineOptions = {}): Promise<SimulatedEngine> {
  const { sim = { stepMs: 5 }, env = {}, log = silentLogger, ...rest } = options;
  const lease = await leasePorts(1);
  const variables = { ...process.env, ...env, MGPU_SIM_A1111: JSON.stringify(sim) };
  const context = testContext({ kind: 'a1111', gpu: cpuGpu(0), env: variables, log });
  const service = new A1111Service({ command: simulator, ...rest, port: lease.first }, context);
  const { url } = service.endpoint;
  const client = new A1111Client(url);
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
    url,
    service,
    client,
    context,
    async faults(faults) {
      const answer = await fetch(new URL('sim/faults', url), { method: 'PUT', body: JSON.stringify(faults) });
      if (!answer.ok) throw new TypeError(await answer.text());
    },
    [Symbol.asyncDispose]: release,
  };
}

/** A connector to an engine, at another address when given. */
export function connect(url: URL, settings: Partial<ConnectorSettings> = {}) {
  const endpoint = { instance: 'a1111_gpu0', kind: 'a1111', gpu: 0, url };
  const connector = new A1111Connector({ endpoint, log: silentLogger }, { pollMs: 20, ...settings });
  return Object.assign(connector, { [Symbol.asyncDispose]: () => connector.close() });
}

let count = 0;
export const job = (input: unknown, more: Partial<ConnectorJob> = {}): ConnectorJob => ({
  id: `job-${count++}`,
  type: 'a1111',
  input,
  attempt: 1,
  resumed: undefined,
  ...more,
});

/** Small, and done at once. */
export const quick = (more: object = {}) => ({ prompt: 'a cat', steps: 2, width: 64, height: 64, ...more });

/** Small, and long enough to be met while it runs: seconds with 5 ms a step. */
export const slow = (more: object = {}) => quick({ steps: 900, ...more });
