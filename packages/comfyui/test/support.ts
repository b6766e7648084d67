import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cpuGpu, type ServiceContext } from '@mgpu/core';
import { type ConnectorJob, silentLogger } from '@mgpu/core/jobs';
import { leasePorts, testContext } from '@mgpu/core/testing';
import { comfyuiProgram, type SimulationInput } from '@mgpu/simulator';
import { decode } from 'fast-png';
import { ComfyUIClient } from '../src/client/comfyui-client.ts';
import type { PromptGraph } from '../src/client/types.ts';
import { ComfyUIService } from '../src/comfyui-service.ts';
import type { ComfyUIOptions } from '../src/config.ts';
import { ComfyUIConnector } from '../src/connector/comfyui-connector.ts';
import type { ConnectorSettings } from '../src/connector/settings.ts';

export const simulator = [process.execPath, comfyuiProgram()];

/** Everything in a folder, by relative path. */
export const namesIn = async (folder: string) => (await readdir(folder, { recursive: true })).toSorted();

export const inFolder = async (body: (dir: string) => Promise<void>) => {
  const dir = await mkdtemp(join(tmpdir(), 'mgpu-comfyui-'));
  try {
    await body(dir);
  } finally {
    await rm(dir, { recursive: true });
  }
};

/** A running ComfyUI, simulated unless the options say otherwise, and a client of it. */
export interface TestEngine extends AsyncDisposable {
  readonly service: ComfyUIService;
  readonly client: ComfyUIClient;
  readonly context: ServiceContext;
  /** Replaces the faults of the simulator. */
  faults(faults: SimulationInput['faults']): Promise<void>;
  state(): Promise<Readonly<Record<string, unknown>>>;
}

export interface TestEngineOptions extends ComfyUIOptions {
  readonly sim?: SimulationInput;
  /** Custom nodes by file name. */
  readonly nodes?: Readonly<Record<string, string>>;
}

export async function startEngine({ sim = {}, nodes = {}, ...options }: TestEngineOptions = {}): Promise<TestEngine> {
  const lease = await leasePorts(2);
  const context = testContext({
    kind: 'comfyui',
    gpu: cpuGpu(0),
    env: { ...process.env, MGPU_SIM: JSON.stringify(sim) },
  });
  const customNodes = join(context.layout.shared, 'custom_nodes');
  await mkdir(customNodes, { recursive: true });
  for (const [name, code] of Object.entries(nodes)) await writeFile(join(customNodes, name), code);
  const command = options.dir === undefined ? { command: simulator } : {};
  const service = new ComfyUIService({ ...command, ...options, port: lease.first }, context);
  const client = new ComfyUIClient(service.endpoint.url);
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
  const ask = (path: string, init: RequestInit = {}) => fetch(new URL(path, service.endpoint.url), init);
  return {
    service,
    client,
    context,
    async faults(faults) {
      const answer = await ask('sim/faults', { method: 'PUT', body: JSON.stringify(faults) });
      if (!answer.ok) throw new TypeError(await answer.text());
    },
    state: async () => (await ask('sim/state')).json() as Promise<Record<string, unknown>>,
    [Symbol.asyncDispose]: release,
  };
}

/** A connector to an engine: at another address when given, and without a look at its folders when `far`. */
export function connect(
  engine: TestEngine,
  settings: Partial<ConnectorSettings> = {},
  { url = engine.service.endpoint.url, far = false }: { url?: URL; far?: boolean } = {},
) {
  const { local, ...rest } = engine.service.endpoint;
  const endpoint = far || !local ? { ...rest, url } : { ...rest, url, local };
  const connector = new ComfyUIConnector({ endpoint, log: silentLogger }, settings);
  return Object.assign(connector, { [Symbol.asyncDispose]: () => connector.close() });
}

let count = 0;
export const job = (input: unknown, more: Partial<ConnectorJob> = {}): ConnectorJob => ({
  id: `job-${count++}`,
  type: 'comfyui',
  input,
  attempt: 1,
  resumed: undefined,
  ...more,
});

// Another colour every time, so that nothing comes out of the engine's cache unless a test wants it to.
let colour = Math.floor(Math.random() * 0x20_00_00);
export const nextColour = () => {
  colour += 4;
  return colour;
};

/** The picture every test knows: one colour, inverted, saved as PNG. */
export function invertGraph({
  color = nextColour(),
  prefix = 'test/invert',
  width = 64,
  height = 48,
} = {}): PromptGraph {
  return {
    1: { class_type: 'EmptyImage', inputs: { width, height, batch_size: 1, color } },
    2: { class_type: 'ImageInvert', inputs: { image: ['1', 0] } },
    3: { class_type: 'SaveImage', inputs: { images: ['2', 0], filename_prefix: prefix } },
  };
}

/** A picture that takes a while, in steps, and may fail at one of them. */
export function slowGraph(options: {
  seconds: number;
  steps?: number;
  failAtStep?: number;
  failKind?: 'error' | 'oom';
}): PromptGraph {
  const { seconds, steps = 20, failAtStep = 0, failKind = 'error' } = options;
  return {
    1: { class_type: 'EmptyImage', inputs: { width: 16, height: 16, batch_size: 1, color: nextColour() } },
    2: {
      class_type: 'SlowNode',
      inputs: { image: ['1', 0], seconds, steps, seed: nextColour(), fail_at_step: failAtStep, fail_kind: failKind },
    },
    3: { class_type: 'SaveImage', inputs: { images: ['2', 0], filename_prefix: 'slow' } },
  };
}

/** Red, green and blue of an inverted colour; the engine computes in floats, so each may be one less. */
export const inverted = (color: number) => [255 - (color >> 16), 255 - ((color >> 8) & 255), 255 - (color & 255)];

/** Whether all of a PNG is of a colour, within the engine's rounding. */
export function isPlain(png: Uint8Array | undefined, [red = 0, green = 0, blue = 0]: readonly number[]): boolean {
  if (!png) return false;
  const { data, channels } = decode(png);
  for (let at = 0; at < data.length; at += channels) {
    const [r = -9, g = -9, b = -9] = data.subarray(at, at + 3);
    if (Math.max(Math.abs(r - red), Math.abs(g - green), Math.abs(b - blue)) > 1) return false;
  }
  return true;
}
