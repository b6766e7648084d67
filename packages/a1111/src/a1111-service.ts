import { resolve } from 'node:path';
import {
  cpuGpu,
  type Endpoint,
  gpuIndex,
  httpProbe,
  type Probes,
  ProcessService,
  type ProcessSpec,
  type Run,
  type ServiceContext,
  standaloneContext,
} from '@mgpu/core';
import { A1111Client } from './client/a1111-client.ts';
import { commandLine } from './command-line.ts';
import { type A1111Options, defaults } from './config.ts';
import { type Engine, findEngine } from './engine.ts';
import { instanceFolders, makeInstanceFolders, makeSharedFolders } from './folders.ts';
import { ownProcessProbe, probePath } from './own-process-probe.ts';
import { proveEngine } from './prove-engine.ts';
import { writeSettings } from './settings/write-settings.ts';
import { findTcmalloc } from './tcmalloc.ts';

interface Prepared {
  readonly engine: Engine;
  readonly tcmalloc: string | undefined;
}

/**
 * One Automatic1111 (or Forge) on one GPU. All instances run the same checkout; what one writes goes into its own data
 * folder, models, extensions, embeddings and styles are shared. A start needs no network. Ready when the API is answered by
 * this very process; the checkpoint may still be loading then, and jobs wait for it.
 */
export class A1111Service extends ProcessService<A1111Options> {
  #prepared: Prepared | undefined;

  constructor(options: A1111Options, context: ServiceContext = alone(options)) {
    super(options, context);
  }

  get port(): number {
    return this.config.port ?? defaults.basePort + (gpuIndex(this.context.gpu) ?? 0);
  }

  override get endpoint(): Endpoint {
    const index = gpuIndex(this.context.gpu);
    return {
      instance: this.id,
      kind: 'a1111',
      ...(index === undefined ? {} : { gpu: index }),
      url: new URL(`http://127.0.0.1:${this.port}`),
      local: { outputDir: instanceFolders(this.context.layout, this.id).output },
    };
  }

  /** Undefined where nobody said which GPU it is to have. */
  get #on(): 'cpu' | 'gpu' | undefined {
    if (this.config.cpu || (this.gpu !== undefined && this.gpu.mode !== 'nvidia')) return 'cpu';
    return this.gpu === undefined ? undefined : 'gpu';
  }

  /** Has it enlarge a picture without a model: through the same queue as generations, but no checkpoint has to be there. */
  protected override async onVerify({ signal }: { signal: AbortSignal }): Promise<boolean> {
    await using client = new A1111Client(this.endpoint);
    return await proveEngine(client, { signal });
  }

  protected override async onPrepare(run: Run): Promise<void> {
    const { layout, env, log } = this.context;
    const { settings, tcmalloc } = { ...defaults, ...this.config };
    const engine = await findEngine(this.config, { layout, env });
    this.#prepared = { engine, tcmalloc: await findTcmalloc(tcmalloc) };
    run.defer(() => {
      this.#prepared = undefined;
    });
    await makeSharedFolders(layout);
    await makeInstanceFolders(layout, this.id, log);
    // One that runs has read them, and writes them whole itself.
    if (!run.isAdopted) await writeSettings({ id: this.id, layout, settings, log });
  }

  protected override command(): ProcessSpec {
    if (!this.#prepared) throw new TypeError('the engine is found before its command is asked for');
    const { engine, tcmalloc } = this.#prepared;
    const { layout, env } = this.context;
    const { args, graceMs, ui, xformers, noHalf, ...rest } = { ...defaults, ...this.config };
    const checkpoints = rest.checkpoints === undefined ? undefined : resolve(rest.checkpoints);
    const { id, port } = this;
    const on = this.#on;
    return {
      file: engine.file,
      args: commandLine(engine, { id, layout, port, on, ui, xformers, noHalf, checkpoints, args }),
      cwd: engine.dir ?? layout.instance(id),
      env: {
        PYTHONUNBUFFERED: '1',
        GIT_TERMINAL_PROMPT: '0',
        GRADIO_ANALYTICS_ENABLED: 'False',
        HF_HUB_DISABLE_TELEMETRY: '1',
        // Of our environment these would change its arguments, its modules, or what a restart through its API does.
        ...{ COMMANDLINE_ARGS: undefined, PYTHONPATH: undefined, PYTHONHOME: undefined, SD_WEBUI_RESTART: undefined },
        ...(engine.isOurs ? {} : { PYTHONDONTWRITEBYTECODE: '1' }),
        ...(tcmalloc === undefined ? {} : { LD_PRELOAD: [tcmalloc, env.LD_PRELOAD].filter(Boolean).join(' ') }),
        ...(on === 'cpu' ? { CUDA_VISIBLE_DEVICES: '' } : {}),
      },
      // With a page SIGTERM would kill it on the spot; on SIGINT it ends by itself in both modes.
      stopSignal: 'SIGINT',
      graceMs,
      ports: [{ port }],
    };
  }

  protected override probes(): Probes {
    const { url } = this.endpoint;
    const { data } = instanceFolders(this.context.layout, this.id);
    const probe = ownProcessProbe({ instance: this.id, url, dataDir: data });
    return {
      startup: { probe, deadlineMs: this.config.startDeadlineMs ?? defaults.startDeadlineMs, intervalMs: 100 },
      readiness: { probe, intervalMs: 5_000, timeoutMs: 3_000, failures: 3 },
      // Loading a checkpoint can hold Python's lock for seconds.
      liveness: {
        probe: httpProbe(new URL(probePath, url)),
        orReady: true,
        intervalMs: 15_000,
        timeoutMs: 10_000,
        failures: 4,
      },
    };
  }
}

function alone({ gpu, root, cpu }: A1111Options): ServiceContext {
  const place = root === undefined ? {} : { root };
  const context = standaloneContext({ kind: 'a1111', ...place, ...(gpu === undefined ? {} : { gpu }) });
  if (gpu === undefined || !cpu) return context;
  // On the CPU no driver is asked: the number only names the instance and its port.
  return { ...context, gpu: cpuGpu(gpu) };
}
