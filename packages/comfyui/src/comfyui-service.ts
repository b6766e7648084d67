import { mkdir } from 'node:fs/promises';
import {
  cpuGpu,
  type Endpoint,
  gpuIndex,
  httpProbe,
  makeModelFolders,
  modelPathsText,
  type Probes,
  ProcessService,
  type ProcessSpec,
  type Run,
  readModelFolders,
  type ServiceContext,
  sharedFolders,
  standaloneContext,
  writeFileAtomically,
} from '@mgpu/core';
import { type Engine, findEngine } from './checkout.ts';
import { ComfyUIClient } from './client/comfyui-client.ts';
import { commandLine, instanceFolders } from './command-line.ts';
import { type ComfyUIOptions, defaults, isMemoryFlag } from './config.ts';
import { linkWorkflows } from './link-workflows.ts';
import { ownProcessProbe } from './own-process-probe.ts';
import { proveEngine } from './prove-engine.ts';

/**
 * One ComfyUI on one GPU. Runs a checkout without changing it: everything it writes goes below the instance's own folder
 * and `<root>/shared`, so one checkout serves any number of instances. Ready when `/system_stats` is answered by this very
 * process.
 */
export class ComfyUIService extends ProcessService<ComfyUIOptions> {
  #engine: Engine | undefined;

  constructor(options: ComfyUIOptions, context: ServiceContext = alone(options)) {
    super(options, context);
  }

  get #isOnCpu(): boolean {
    return this.config.cpu === true || (this.gpu !== undefined && this.gpu.mode !== 'nvidia');
  }

  get port(): number {
    return this.config.port ?? defaults.basePort + (gpuIndex(this.context.gpu) ?? 0);
  }

  override get endpoint(): Endpoint {
    const { layout } = this.context;
    const { output, temp } = instanceFolders(layout, this.id);
    const index = gpuIndex(this.context.gpu);
    return {
      instance: this.id,
      kind: 'comfyui',
      ...(index === undefined ? {} : { gpu: index }),
      url: new URL(`http://127.0.0.1:${this.port}`),
      local: { outputDir: output, tempDir: temp, inputDir: sharedFolders(layout).input },
    };
  }

  /** Unloads its models and drops what it has cached, after the prompt that runs. */
  override async relieve({ signal }: { signal?: AbortSignal } = {}): Promise<boolean> {
    await using client = new ComfyUIClient(this.endpoint);
    await client.free({ signal });
    return true;
  }

  /** Makes a picture without a model; it goes where previews go. */
  protected override async onVerify({ signal }: { signal: AbortSignal }): Promise<boolean> {
    await using client = new ComfyUIClient(this.endpoint);
    return await proveEngine(client, { signal });
  }

  protected override async onPrepare(run: Run): Promise<void> {
    const { layout, env, log } = this.context;
    const { output, user, workflows, modelPaths } = instanceFolders(layout, this.id);
    const dropped = this.#isOnCpu ? this.config.args?.filter(isMemoryFlag) : [];
    if (dropped?.length) log.warn(`${this.id}: left out on the CPU, where they mean nothing: ${dropped.join(' ')}`);
    this.#engine = await findEngine(this.config, { layout, env, instance: this.id });
    run.defer(() => {
      this.#engine = undefined;
    });
    const folders = await readModelFolders(layout);
    for (const problem of folders.problems) log.warn(`${this.id}: ${problem}`);
    await Promise.all([
      makeModelFolders(folders),
      mkdir(output, { recursive: true }),
      mkdir(user, { recursive: true }),
    ]);
    await linkWorkflows(workflows, sharedFolders(layout).workflows, log);
    await writeFileAtomically(modelPaths, await modelPathsText(folders), 0o644);
  }

  protected override command(): ProcessSpec {
    const engine = this.#engine;
    if (!engine) throw new TypeError('the engine is found before its command is asked for');
    const { layout } = this.context;
    const { args, graceMs } = { ...defaults, ...this.config };
    const cpu = this.#isOnCpu;
    return {
      file: engine.file,
      args: commandLine(engine, { id: this.id, layout, port: this.port, cpu, args }),
      cwd: engine.dir ?? layout.instance(this.id),
      env: {
        PYTHONUNBUFFERED: '1',
        // The checkout is not ours to write into, compiled files included.
        PYTHONDONTWRITEBYTECODE: '1',
        ...(cpu ? { CUDA_VISIBLE_DEVICES: '' } : {}),
      },
      // SIGTERM would kill it on the spot; on SIGINT it ends in order, with exit code 0.
      stopSignal: 'SIGINT',
      graceMs,
      ports: [{ port: this.port }],
    };
  }

  protected override probes(): Probes {
    const { url } = this.endpoint;
    const { output } = instanceFolders(this.context.layout, this.id);
    const probe = ownProcessProbe({ instance: this.id, url, outputDir: output });
    return {
      startup: { probe, deadlineMs: this.config.startDeadlineMs ?? defaults.startDeadlineMs, intervalMs: 100 },
      readiness: { probe, intervalMs: 5_000, timeoutMs: 3_000, failures: 3 },
      // Loading a model can hold Python's lock for seconds: patience, and the cheapest question there is.
      liveness: {
        probe: httpProbe(new URL('prompt', url)),
        orReady: true,
        intervalMs: 15_000,
        timeoutMs: 10_000,
        failures: 4,
      },
    };
  }
}

function alone({ gpu, root, cpu }: ComfyUIOptions): ServiceContext {
  const place = root === undefined ? {} : { root };
  const context = standaloneContext({ kind: 'comfyui', ...place, ...(gpu === undefined ? {} : { gpu }) });
  if (gpu === undefined || !cpu) return context;
  // On the CPU no driver is asked: the number only names the instance and its port.
  return { ...context, gpu: cpuGpu(gpu) };
}
