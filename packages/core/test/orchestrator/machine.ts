import {
  type AnyServiceDefinition,
  BaseService,
  type Clock,
  composeConfigSchema,
  defineService,
  type Endpoint,
  type Gpu,
  gpuSelectionSchema,
  type Layout,
  type Logger,
  layoutOf,
  type MgpuError,
  mockGpus,
  Orchestrator,
  type RestartPolicy,
  type Run,
  type ServiceDefinition,
} from '@mgpu/core';
import { onTestFinished } from 'vitest';
import { z } from 'zod';
import { temporaryFolder } from '../support.ts';

const schema = z.strictObject({ enabled: z.boolean().default(true), gpus: gpuSelectionSchema });

/** What a part does, by instance. */
export interface PartOptions
  extends Partial<Pick<ServiceDefinition, 'scope' | 'critical' | 'dependsOn' | 'phase' | 'connector'>> {
  readonly onStart?: (run: Run, id: string) => Promise<void> | void;
  readonly onVerify?: (signal: AbortSignal, id: string) => Promise<boolean>;
  readonly install?: (signal: AbortSignal) => Promise<void>;
  readonly ports?: readonly { instance: string; port: number }[];
  readonly basePort?: number;
}

/** Parts of a machine that write down what happens to them. */
export function workshop() {
  const journal: string[] = [];
  /** Instances that hold something. */
  const live = new Map<string, number>();
  const runs = new Map<string, Run>();

  class Part extends BaseService<PartOptions> {
    override get endpoint(): Endpoint | undefined {
      const { basePort } = this.config;
      if (basePort === undefined) return undefined;
      const { index } = this.gpu ?? {};
      const url = new URL(`http://127.0.0.1:${basePort + (index ?? 0)}`);
      return { instance: this.id, kind: this.kind, url, ...(index === undefined ? {} : { gpu: index }) };
    }

    protected override async onStart(run: Run): Promise<void> {
      journal.push(`start ${this.id}`);
      live.set(this.id, (live.get(this.id) ?? 0) + 1);
      runs.set(this.id, run);
      run.defer(() => {
        live.set(this.id, (live.get(this.id) ?? 0) - 1);
        journal.push(`end ${this.id}`);
      });
      await this.config.onStart?.(run, this.id);
      if (!run.signal.aborted) journal.push(`ready ${this.id}`);
    }
  }

  class Verifiable extends Part {
    protected override async onVerify({ signal }: { signal: AbortSignal }): Promise<boolean> {
      journal.push(`verify ${this.id}`);
      return (await this.config.onVerify?.(signal, this.id)) ?? true;
    }
  }

  const define = (kind: string, options: PartOptions = {}): AnyServiceDefinition => {
    const { scope = 'machine', critical = true, phase = kind, install, ports, connector } = options;
    return defineService({
      api: 1,
      kind,
      summary: kind,
      scope,
      critical,
      phase,
      schema,
      dependsOn: options.dependsOn ?? [],
      ...(connector ? { connector } : {}),
      ...(ports ? { ports: () => ports } : {}),
      ...(install
        ? {
            install: async ({ signal }) => {
              journal.push(`install ${kind}`);
              await install(signal);
              journal.push(`installed ${kind}`);
            },
          }
        : {}),
      create: (_, context) => new (options.onVerify ? Verifiable : Part)(options, context),
    });
  };
  return { journal, live, runs, define };
}

export interface MachineOptions {
  readonly gpus?: readonly Gpu[];
  readonly gpuProblem?: MgpuError;
  readonly services?: Readonly<Record<string, unknown>>;
  readonly restartPolicy?: RestartPolicy;
  readonly clock?: Clock;
  readonly log?: Logger;
  /** Default: a root of its own. */
  readonly layout?: Layout;
}

export function machine(definitions: readonly AnyServiceDefinition[], options: MachineOptions = {}): Orchestrator {
  const { gpus = mockGpus(2), services = {}, ...rest } = options;
  const orchestrator = new Orchestrator({
    definitions,
    gpus,
    config: composeConfigSchema(definitions).parse({ services }),
    layout: layoutOf(temporaryFolder()),
    machineId: 'bench',
    daemonRun: 'run',
    env: {},
    ...rest,
  });
  onTestFinished(() => orchestrator.stop({ force: true }).catch(() => {})); // what the test provoked
  return orchestrator;
}

export const statesOf = (orchestrator: Orchestrator): Record<string, string> =>
  Object.fromEntries(orchestrator.status().map(({ id, state }) => [id, state]));

/** Waits for the run to be cancelled. */
export const untilCancelled = (run: Run) =>
  new Promise<void>((_, reject) => run.signal.addEventListener('abort', () => reject(run.signal.reason)));
