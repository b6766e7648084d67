import type { MachineConfig } from '../config/machine-config.ts';
import {
  type AnyServiceDefinition,
  anyConnector,
  type DependencyState,
  type ServiceScope,
} from '../definition/define-service.ts';
import { DefinitionInvalidError, GpuOutOfRangeError, PortDuplicateError } from '../errors/core-errors.ts';
import type { Gpu, GpuInventory } from '../gpu/gpu.ts';
import { instanceId } from '../service/context.ts';
import { expectNoCycle } from './graph.ts';

/** An instance that is going to exist. */
export interface PlannedInstance {
  readonly id: string;
  readonly definition: AnyServiceDefinition;
  readonly gpu?: Gpu;
  /** Instances to wait for, and until when. */
  readonly dependsOn: readonly { readonly id: string; readonly when: DependencyState }[];
}

export interface MachinePlan {
  /** Enabled definitions. */
  readonly definitions: readonly AnyServiceDefinition[];
  readonly instances: readonly PlannedInstance[];
  /** Instance ids with the ids each waits for. */
  readonly graph: ReadonlyMap<string, readonly string[]>;
  /** Every port that is going to be listened on, and by whom; no port is there twice. */
  readonly ports: readonly PlannedPort[];
}

export interface PlannedPort {
  readonly instance: string;
  readonly port: number;
}

/**
 * Which instances the configuration asks for and how they depend on each other. Throws `CORE_DEFINITION_INVALID`,
 * `CORE_GPU_OUT_OF_RANGE` (with what had been wrong with the GPUs as its cause), `CORE_PORT_DUPLICATE`,
 * `CORE_DEPENDENCY_CYCLE`; starts nothing.
 */
export function planMachine(
  all: readonly AnyServiceDefinition[],
  config: MachineConfig,
  inventory: GpuInventory,
): MachinePlan {
  const known = new Set(all.map(({ kind }) => kind));
  if (known.size < all.length) {
    const kind = all.find((each, index) => all.findIndex((other) => other.kind === each.kind) !== index)?.kind ?? '';
    throw new DefinitionInvalidError({ kind, problem: 'is there twice' });
  }
  for (const { kind, dependsOn = [] } of all) {
    const stranger = dependsOn.find(({ on }) => on !== anyConnector && !known.has(on));
    if (stranger)
      throw new DefinitionInvalidError({ kind, problem: `depends on "${stranger.on}", which nobody defines` });
  }
  const definitions = all.filter(({ kind }) => config.services[kind]?.enabled);
  const placed = definitions.flatMap((definition) => {
    if (scopeOf(definition, config) === 'machine') return [{ id: definition.kind, definition }];
    return selectGpus(config.services[definition.kind]?.gpus, inventory).map((gpu) => ({
      id: instanceId(definition.kind, gpu.index),
      definition,
      gpu,
    }));
  });
  const instances = placed.map(
    (instance): PlannedInstance => ({ ...instance, dependsOn: dependenciesOf(instance, placed) }),
  );
  const graph = new Map(instances.map(({ id, dependsOn }) => [id, dependsOn.map((each) => each.id)]));
  expectNoCycle(graph);
  const ports = portsOf(definitions, placed, config, inventory);
  expectDistinct(ports);
  return { definitions, instances, graph, ports };
}

const scopeOf = ({ kind, scope }: AnyServiceDefinition, config: MachineConfig): ServiceScope =>
  typeof scope === 'function' ? scope(config.services[kind]) : scope;

interface Placed {
  readonly id: string;
  readonly definition: AnyServiceDefinition;
  readonly gpu?: Gpu;
}

function dependenciesOf(instance: Placed, placed: readonly Placed[]): PlannedInstance['dependsOn'] {
  return (instance.definition.dependsOn ?? []).flatMap(({ on, when }) =>
    placed
      .filter(({ definition: { kind, connector } }) => (on === anyConnector ? connector !== undefined : kind === on))
      .filter(
        (other) => instance.gpu === undefined || other.gpu === undefined || other.gpu.index === instance.gpu.index,
      )
      .map(({ id }) => ({ id, when })),
  );
}

function selectGpus(selection: unknown, { gpus, problem }: GpuInventory): readonly Gpu[] {
  if (!Array.isArray(selection)) return gpus;
  const wanted = new Set(selection as number[]);
  const missing = [...wanted].filter((index) => !gpus.some((gpu) => gpu.index === index));
  if (missing.length > 0) {
    const known = gpus.map(({ index }) => index);
    throw new GpuOutOfRangeError({ gpus: missing, known, problem: problem?.message }, { cause: problem });
  }
  return gpus.filter(({ index }) => wanted.has(index));
}

function portsOf(
  definitions: readonly AnyServiceDefinition[],
  placed: readonly Placed[],
  config: MachineConfig,
  inventory: GpuInventory,
): readonly PlannedPort[] {
  const all = placed.map(({ definition: { kind }, gpu }) => ({ kind, ...(gpu && { gpu: gpu.index }) }));
  return definitions.flatMap((definition) => {
    const { kind, ports } = definition;
    const settings = config.services[kind];
    const gpus = scopeOf(definition, config) === 'gpu' ? selectGpus(settings?.gpus, inventory) : inventory.gpus;
    return (
      ports?.(
        settings,
        gpus.map(({ index }) => index),
        all,
      ) ?? []
    );
  });
}

function expectDistinct(ports: readonly PlannedPort[]): void {
  const holders = Map.groupBy(ports, ({ port }) => port);
  for (const [port, taken] of holders) {
    if (taken.length > 1) throw new PortDuplicateError({ port, instances: taken.map(({ instance }) => instance) });
  }
}
