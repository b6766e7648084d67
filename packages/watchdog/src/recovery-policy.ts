import type { Supervision } from '@mgpu/core';
import type { PolicyOptions, WatchdogConfig } from './config.ts';

/** How one instance recovers, nothing left open. */
export interface RecoveryPolicy {
  readonly restart: 'always' | 'on-failure' | 'never';
  readonly attempts: number;
  readonly windowMs: number;
  readonly backoff: {
    readonly baseMs: number;
    readonly factor: number;
    readonly capMs: number;
    readonly jitter: number;
  };
  readonly stableAfterMs: number;
  /** No limit beside the service's own when undefined. */
  readonly startDeadlineMs: number | undefined;
  /** What is left open is the probe's own. */
  readonly liveness: { readonly intervalMs?: number; readonly timeoutMs?: number; readonly failures?: number };
  readonly stallAfterMs: number;
  /** No ceiling when undefined. */
  readonly memoryMiB: number | undefined;
}

const backoff = { baseMs: 1_000, factor: 2, capMs: 60_000, jitter: 0.2 };

/** The reasons for these numbers stand in the README. */
const basics = {
  restart: 'always',
  attempts: 5,
  windowMs: 600_000,
  stableAfterMs: 60_000,
  startDeadlineMs: undefined,
  stallAfterMs: 900_000,
  memoryMiB: undefined,
} as const;

/** Of what is said about an instance the more particular counts: instance, kind, its definition, the defaults. */
export function recoveryPolicy(
  { policies, defaults }: Pick<WatchdogConfig, 'policies' | 'defaults'>,
  { id, kind, supervision }: { id: string; kind: string; supervision: Supervision },
): RecoveryPolicy {
  const layers: readonly (PolicyOptions | Supervision)[] = [
    defaults,
    supervision,
    policies[kind] ?? {},
    ...(id === kind ? [] : [policies[id] ?? {}]),
  ];
  const merged = Object.assign({}, basics, ...layers.map(said)) as RecoveryPolicy;
  const pauses = Object.assign({}, backoff, ...layers.map((layer) => said(layer.backoff ?? {}))) as typeof backoff;
  return {
    ...merged,
    // Whoever asks for longer pauses does not mean them to be cut.
    backoff: { ...pauses, capMs: Math.max(pauses.capMs, pauses.baseMs) },
    liveness: Object.assign({}, ...layers.map((layer) => said(layer.liveness ?? {}))),
  };
}

const said = (layer: object) => Object.fromEntries(Object.entries(layer).filter(([, value]) => value !== undefined));
