import type { z } from 'zod';
import { DefinitionInvalidError } from '../errors/core-errors.ts';
import { layoutOf } from '../files/layout.ts';
import type { ConnectorDefinition } from '../jobs/connector.ts';
import type { BaseService } from '../service/base-service.ts';
import type { ServiceContext } from '../service/context.ts';
import type { Supervision } from '../supervision/supervision.ts';

/** The configuration schema of a service: an object that says at least whether it is enabled. */
export type ServiceSchema = z.ZodObject<{ enabled: z.ZodDefault<z.ZodBoolean> } & z.core.$ZodShape>;

/** In a dependency: every service that has a connector, whoever wrote it. */
export const anyConnector = 'connector';

export interface Dependency {
  /**
   * Kind of the service to wait for, or `connector` for every one that has a connector. gpu → gpu means the one on the
   * same GPU. A kind that is not enabled is ignored.
   */
  readonly on: string;
  readonly when: DependencyState;
}

/**
 * Until when to wait. `installed`: the install step of its kind is over, whatever came of it; `started`: its turn has come; `ready`;
 * `completed`: a one-shot has come to its end; `settled`: it has, or has failed at it.
 */
export type DependencyState = 'installed' | 'started' | 'ready' | 'completed' | 'settled';

/** How the value of an environment variable becomes configuration. */
export interface EnvironmentVariable {
  /** Key below the service, e.g. `basePort` or `auth.apiKey`. */
  readonly key: string;
  readonly summary: string;
  /**
   * Default: the text as it is. Undefined says nothing; what it throws is told as the problem of the key. `soFar` is the
   * configuration before it was checked: the file and the variables that came earlier.
   */
  readonly parse?: (text: string, soFar?: unknown) => unknown;
}

/** Something that is wrong, or could be better, on this machine. */
export interface Finding {
  readonly level: 'ok' | 'warning' | 'error';
  readonly message: string;
  readonly hint?: string;
}

/** What an install step may use. It runs once per kind, before the kind's instances start. */
export interface InstallContext extends Pick<ServiceContext, 'layout' | 'log' | 'clock' | 'env' | 'machine'> {
  readonly signal: AbortSignal;
}

/** What there is one instance of: the machine, or each GPU. */
export type ServiceScope = 'machine' | 'gpu';

/** Describes a service: a frozen value whose import has no side effects. */
export interface ServiceDefinition<S extends ServiceSchema = ServiceSchema> {
  /** Version of this contract. */
  readonly api: 1;
  /** The word under `services:` and in commands; kebab-case. */
  readonly kind: string;
  readonly summary: string;
  /** `machine`: one instance. `gpu`: one per GPU. A function says it by the configuration. */
  readonly scope: ServiceScope | ((config: z.output<S>) => ServiceScope);
  readonly schema: S;
  /** Environment variables it understands. */
  readonly env?: Readonly<Record<string, EnvironmentVariable>>;
  /** Name of the boot phase its instances start in. */
  readonly phase: string;
  /** Whether its failure stops the boot. */
  readonly critical: boolean;
  readonly dependsOn?: readonly Dependency[];
  readonly connector?: ConnectorDefinition;
  /** How its instances recover, where the watchdog's defaults do not fit. */
  readonly supervision?: Supervision;
  /** Once per kind and boot, idempotent; its phase is `<phase> setup`. */
  install?(context: InstallContext, config: z.output<S>): Promise<void>;
  create(config: z.output<S>, context: ServiceContext): BaseService<object>;
  /** Ports the instances are going to take, for finding duplicates before anything starts; `all` is who else comes. */
  ports?(
    config: z.output<S>,
    gpus: readonly number[],
    all: readonly { kind: string; gpu?: number }[],
  ): readonly { instance: string; port: number }[];
  doctor?(config: z.output<S>, context: Pick<ServiceContext, 'layout' | 'env'>): Promise<readonly Finding[]>;
}

/** A definition whose schema is not known statically: what the orchestrator and the app hold. */
// biome-ignore lint/suspicious/noExplicitAny: the schema's type is invariant; each definition checks its own configuration
export type AnyServiceDefinition = ServiceDefinition<any>;

/** Folders of the machine's root, where an instance's own would lie, and commands, where the kind's would. */
const { root: _root, instance: _instance, ...folders } = layoutOf('');
const commands = [
  'up',
  'down',
  'status',
  'run',
  'doctor',
  'demo',
  'config',
  'jobs',
  'phases',
  'plugins',
  'why',
  'nodes',
  'export',
  'help',
];
const reserved = new Set([...Object.keys(folders), ...commands]);

const kebab = /^[a-z][a-z0-9]*(-[a-z0-9]+)*$/;

/** Checks and freezes a definition. Throws `CORE_DEFINITION_INVALID`. */
export function defineService<S extends ServiceSchema>(
  definition: ServiceDefinition<S>,
): Readonly<ServiceDefinition<S>> {
  const { api, kind, schema } = definition;
  const refuse = (problem: string) => new DefinitionInvalidError({ kind, problem });
  if (api !== 1) throw refuse(`is made for version ${String(api)} of the service contract; this core knows version 1`);
  if (kind === anyConnector) throw refuse('has a kind that means something else in dependencies');
  if (reserved.has(kind)) throw refuse("has a kind that is a command or a folder of the machine's own");
  if (!kebab.test(kind)) throw refuse('has a kind that is not kebab-case');
  if (!('enabled' in schema.shape)) throw refuse('has a schema without the key "enabled"');
  return Object.freeze({ ...definition });
}
