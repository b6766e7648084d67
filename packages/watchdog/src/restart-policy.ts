import {
  type Failure,
  type PastFailure,
  pastFailure,
  type RestartDecision,
  type RestartPolicy,
  type Supervision,
} from '@mgpu/core';
import type { RecoveryPolicy } from './recovery-policy.ts';
import { RestartLimiter } from './restart-limiter.ts';

export interface RestartPolicyOptions {
  readonly policyOf: (instance: { id: string; kind: string; supervision: Supervision }) => RecoveryPolicy;
  /** Whether restarting it is allowed. */
  readonly mayRestart: (instance: string) => boolean;
  readonly coolOffMs: number | 'off';
  readonly restartsPerMinute: number;
  /** From 0 to 1. Default `Math.random`. */
  readonly random?: () => number;
}

const longestCoolOffMs = 3_600_000;
/** The service says that its configuration is wrong (`EX_CONFIG`). */
const configurationExitCode = 78;
/** A shell says that there is no such program, or that it may not be run. */
const shellExitCodes: ReadonlySet<number | null | undefined> = new Set([126, 127]);
const shellMs = 1_000;
/** These are the machine's fault. */
const machineFaults = new Set(['CORE_GPU_QUERY', 'CORE_PROCESS_SPAWN']);
/** So are these, whatever was to be done when the system said it: descriptors, processes, memory, room. */
const shortages = new Set(['EMFILE', 'ENFILE', 'EAGAIN', 'ENOMEM', 'ENOSPC']);

/**
 * Restarts at once after the first failure of a run that was ready, then with growing pauses; gives up when there were
 * too many failures in the window, and tries again after a cool-off. Nothing but the failures themselves is remembered.
 */
export function restartPolicy(options: RestartPolicyOptions): RestartPolicy {
  const { policyOf, mayRestart, coolOffMs, restartsPerMinute, random = Math.random } = options;
  const limiter = new RestartLimiter(restartsPerMinute);
  return {
    decide(failure, history, supervision): RestartDecision {
      const { instance, kind, endedAt } = failure;
      const policy = policyOf({ id: instance, kind, supervision });
      if (policy.restart === 'never') return { restart: false, delayMs: 0, reason: 'it is not to be restarted' };
      if (policy.restart === 'on-failure' && ownExit(failure)?.code === 0)
        return { restart: false, delayMs: 0, reason: 'it ended with exit code 0' };
      if (!mayRestart(instance)) return forGood('its file restart_enabled is not there');
      const refusal = permanent(failure);
      if (refusal !== undefined) return forGood(refusal);

      const present = pastFailure(failure);
      const streak = streakOf([...history, present], policy);
      if (streak.giveUps > 0) {
        const reason = `given up after ${streak.inWindow} failures in ${minutes(policy.windowMs)}`;
        if (coolOffMs === 'off') return forGood(reason);
        const delayMs = Math.min(coolOffMs * 2 ** (streak.giveUps - 1), Math.max(longestCoolOffMs, coolOffMs));
        return { restart: true, gaveUp: true, delayMs, reason: `${reason}, one more attempt in ${minutes(delayMs)}` };
      }
      const pauseMs = pauseAfter(streak, policy, random);
      const delayMs = limiter.delay(endedAt, pauseMs);
      const counted = `failure ${streak.inWindow} of ${policy.attempts} in ${minutes(policy.windowMs)}`;
      const queued = delayMs > pauseMs ? ', the machine restarts enough already' : '';
      const when = delayMs === 0 ? 'restarted at once' : `restarted in ${seconds(delayMs)}`;
      const uncharged = isCharged(present) ? '' : ', not counted against it';
      return { restart: true, delayMs, reason: `${when} (${counted}${uncharged}${queued})` };
    },
  };
}

const forGood = (reason: string): RestartDecision => ({ restart: false, gaveUp: true, delayMs: 0, reason });

/** How its process ended by itself; what we ended may answer our signal with any code. */
const ownExit = ({ error, exit }: Failure) => (error.code === 'CORE_PROCESS_EXITED' ? exit : undefined);

/** Why another start would fail as well; undefined when it may not. */
function permanent(failure: Failure): string | undefined {
  const { error, readyMs } = failure;
  const exit = ownExit(failure);
  if (exit?.code === configurationExitCode) return 'exit code 78 says that its configuration is wrong';
  if (shellExitCodes.has(exit?.code) && (exit?.uptimeMs ?? shellMs) < shellMs) return 'its program cannot be run';
  // Of what nobody has described nobody knows whether it lasts.
  const lasts = !error.retryable && error.code !== 'CORE_UNEXPECTED';
  return lasts && readyMs === undefined ? 'another start would fail as well' : undefined;
}

const isCharged = ({ error }: PastFailure): boolean =>
  !(error.retryable && machineFaults.has(error.code)) && !error.errnos.some((errno) => shortages.has(errno));

/** Failures since it was last stable, up to the present one. */
interface Streak {
  readonly failures: number;
  /** Its first run had been ready. */
  readonly beganReady: boolean;
  /** Those charged to it in the window that ends with the present one, or at the time it was given up. */
  readonly inWindow: number;
  /** How often it was given up. */
  readonly giveUps: number;
}

/** Whether the run that failed was ready long enough for counting to begin anew. */
export const wasStable = ({ readyMs }: Pick<Failure, 'readyMs'>, { stableAfterMs }: RecoveryPolicy): boolean =>
  readyMs !== undefined && readyMs >= stableAfterMs;

function streakOf(failures: readonly PastFailure[], policy: RecoveryPolicy): Streak {
  const { windowMs, attempts } = policy;
  const streak = failures.slice(
    Math.max(
      0,
      failures.findLastIndex((each) => wasStable(each, policy)),
    ),
  );
  const charged: number[] = [];
  let giveUps = 0;
  for (const each of streak) {
    if (!isCharged(each)) continue;
    charged.push(each.endedAt);
    if (giveUps > 0 || recent(charged, each.endedAt, windowMs) >= attempts) giveUps += 1;
  }
  const now = streak.at(-1)?.endedAt ?? 0;
  return {
    failures: streak.length,
    beganReady: streak[0]?.readyMs !== undefined,
    inWindow: giveUps > 0 ? Math.max(attempts, recent(charged, now, windowMs)) : recent(charged, now, windowMs),
    giveUps,
  };
}

const recent = (times: readonly number[], now: number, ms: number) => times.filter((at) => now - at < ms).length;

function pauseAfter({ failures, beganReady }: Streak, { backoff }: RecoveryPolicy, random: () => number): number {
  const step = beganReady ? failures - 2 : failures - 1;
  if (step < 0) return 0;
  const { baseMs, factor, capMs, jitter } = backoff;
  const pauseMs = Math.min(capMs, baseMs * factor ** step);
  return Math.round(Math.min(capMs, pauseMs * (1 + jitter * (2 * random() - 1))));
}

const seconds = (ms: number) => `${Math.round(ms / 100) / 10} s`;
const minutes = (ms: number) => (ms < 60_000 ? seconds(ms) : `${Math.round(ms / 6_000) / 10} min`);
