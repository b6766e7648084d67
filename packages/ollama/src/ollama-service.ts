import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import {
  coreErrors,
  cpuGpu,
  type Endpoint,
  gpuIndex,
  type HttpExpectation,
  httpProbe,
  type Probes,
  ProcessService,
  type ProcessSpec,
  type Run,
  type ServiceContext,
  type ServiceEvents,
  standaloneContext,
} from '@mgpu/core';
import { listenAddress, urlOf } from './address.ts';
import { OllamaClient } from './client/ollama-client.ts';
import { type InstanceConfig, type OllamaOptions, ollamaSchema } from './config.ts';
import { type PullReport, preloadModels, withTag } from './preload.ts';
import { locateProgram, type Program } from './program/locate-program.ts';
import { settingsEnvironment } from './settings.ts';

export interface OllamaEvents extends ServiceEvents {
  /** How far a model of the preload list is. */
  pull: PullReport;
}

/** GPU search is over and requests are answered: the port is open, and its log says `Listening`, long before. */
const answers: HttpExpectation = ({ status, body }) => {
  if (status !== 200) return `status ${status}`;
  return /^\{"version":"/.test(body) || 'the answer is not that of an Ollama';
};

/**
 * One Ollama: on one GPU, or on all of the machine. Ready when `/api/version` is answered. What is missing of its models is
 * pulled while it runs; until then its status says how far that is. Everything it writes is below `<root>/shared/ollama` (models)
 * and `<root>/state/ollama` (its keys), which several may share.
 */
export class OllamaService extends ProcessService<InstanceConfig, OllamaEvents> {
  #program: Program | undefined;

  constructor(options: OllamaOptions = {}, context: ServiceContext = alone(options)) {
    const { gpu: _gpu, root: _root, ...config } = options;
    super(ollamaSchema.parse(config), context);
  }

  get port(): number {
    return this.config.listen.port;
  }

  get modelsDir(): string {
    return modelsDirOf(this.config, this.context);
  }

  override get endpoint(): Endpoint {
    const { listen, defaultModel } = this.config;
    const index = gpuIndex(this.context.gpu);
    return {
      instance: this.id,
      kind: 'ollama',
      ...(index === undefined ? {} : { gpu: index }),
      url: urlOf(listen.host, listen.port),
      ...(defaultModel === undefined ? {} : { local: { defaultModel } }),
    };
  }

  /** Takes all models out of memory that nobody uses at the moment. */
  override async relieve({ signal }: { signal?: AbortSignal } = {}): Promise<boolean> {
    await using client = new OllamaClient(this.endpoint);
    for (const { name } of await client.ps({ signal })) await client.unload(name, { signal });
    return true;
  }

  /** Reads those of its models that are there. Answering needs one in memory, which is for whoever wants an answer. */
  protected override async onVerify({ signal }: { signal: AbortSignal }): Promise<boolean> {
    await using client = new OllamaClient(this.endpoint);
    const there = await client.list({ signal });
    const isWanted = new Set(this.#wanted.map(withTag));
    for (const { name } of there) if (isWanted.has(name)) await client.show(name, { signal });
    return true;
  }

  protected override async onPrepare(run: Run): Promise<void> {
    this.#expectGpus();
    this.#program = await locateProgram(this.config, this.context);
    run.defer(() => {
      this.#program = undefined;
    });
    await mkdir(this.modelsDir, { recursive: true });
    await mkdir(this.#home, { recursive: true, mode: 0o700 });
  }

  protected override command(): ProcessSpec {
    const program = this.#program;
    if (!program) throw new TypeError('the program is found before its command is asked for');
    const { listen, settings, graceMs, prune, perGpu } = this.config;
    return {
      file: program.file,
      args: [...program.args, 'serve'],
      cwd: this.context.layout.instance(this.id),
      env: {
        ...this.#visibleGpus(),
        ...settingsEnvironment(settings),
        OLLAMA_HOST: listenAddress(listen.host, listen.port),
        OLLAMA_MODELS: this.modelsDir,
        // What it removes at its start may be what it, or another server, was pulling.
        OLLAMA_NOPRUNE: prune && !perGpu ? '0' : '1',
        HOME: this.#home,
      },
      graceMs,
      ports: [{ host: listen.host, port: listen.port }],
    };
  }

  protected override probes(): Probes {
    const probe = httpProbe(new URL('/api/version', this.endpoint.url), { expect: answers });
    return {
      startup: { probe, deadlineMs: this.config.startDeadlineMs, intervalMs: 50 },
      readiness: { probe, intervalMs: 5_000, timeoutMs: 3_000, failures: 3 },
      liveness: { probe, orReady: true, intervalMs: 15_000, timeoutMs: 10_000, failures: 4 },
    };
  }

  protected override onRunning(run: Run): void {
    super.onRunning(run);
    const wanted = this.#wanted;
    if (wanted.length === 0) return;
    const { clock, log } = this.context;
    const client = new OllamaClient(this.endpoint);
    const work = preloadModels({
      instance: this.id,
      client,
      models: wanted,
      modelsDir: this.modelsDir,
      clock,
      log,
      signal: run.signal,
      onReport: (report) => this.emit('pull', report),
      onHealth: ({ health, reason }) => run.setHealth(health, reason),
    }).catch((error: unknown) => {
      if (!run.signal.aborted) log.error(`${this.id}: its models are not seen to any more`, { error });
    });
    run.defer(async () => {
      await work;
      await client.close();
    });
  }

  get #wanted(): readonly string[] {
    const { models, defaultModel } = this.config;
    return [...(defaultModel === undefined ? [] : [defaultModel]), ...models];
  }

  get #home(): string {
    return join(this.context.layout.state, 'ollama');
  }

  /** Core shows the one GPU of an instance; here it is what that cannot say: several, and none. */
  #visibleGpus(): Readonly<Record<string, string>> {
    const none = { CUDA_VISIBLE_DEVICES: '-1' };
    if (this.config.cpu) return { ...none, ROCR_VISIBLE_DEVICES: '-1', GGML_VK_VISIBLE_DEVICES: '-1' };
    if (this.gpu) return this.gpu.mode === 'nvidia' ? {} : none;
    const all = this.context.machine.gpus.filter(({ index }) => this.#uses(index));
    if (all.length === 0) return {};
    const uuids = all.flatMap(({ mode, uuid }) => (mode === 'nvidia' ? [uuid] : []));
    if (uuids.length === 0) return none;
    // An explicit list: left to itself, or told "all", it has fallen back to the CPU.
    return { CUDA_DEVICE_ORDER: 'PCI_BUS_ID', CUDA_VISIBLE_DEVICES: uuids.join(',') };
  }

  #uses(index: number): boolean {
    const { gpus } = this.config;
    return gpus === 'all' || gpus.includes(index);
  }

  #expectGpus(): void {
    const { gpus } = this.config;
    const known = this.context.machine.gpus.map(({ index }) => index);
    if (gpus === 'all' || this.context.gpu !== undefined || known.length === 0) return;
    const missing = gpus.filter((index) => !known.includes(index));
    if (missing.length > 0) throw new coreErrors.GpuOutOfRangeError({ gpus: missing, known });
  }
}

/** Where the models lie. */
export const modelsDirOf = (
  { modelsDir }: Pick<InstanceConfig, 'modelsDir'>,
  { layout }: Pick<ServiceContext, 'layout'>,
): string => modelsDir ?? join(layout.shared, 'ollama');

function alone({ gpu, root, cpu }: OllamaOptions): ServiceContext {
  const place = root === undefined ? {} : { root };
  const context = standaloneContext({ kind: 'ollama', ...place, ...(gpu === undefined ? {} : { gpu }) });
  if (gpu === undefined || !cpu) return context;
  // On the CPU no driver is asked: the number only names the instance.
  return { ...context, gpu: cpuGpu(gpu) };
}
