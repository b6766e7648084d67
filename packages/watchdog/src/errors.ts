import { defineError } from '@mgpu/core';

/** What is known of an instance that is to be ended: its details go into the incident. */
interface Observed extends Readonly<Record<string, unknown>> {
  readonly instance: string;
  /** Facts that led to it, one sentence each. */
  readonly evidence: readonly string[];
  readonly lastLines: readonly string[];
}

const seconds = (ms: number) => `${Math.round(ms / 100) / 10} s`;

export const HungError = defineError<Observed & { probe: string; failures: number; forMs: number; last: string }>({
  code: 'WATCHDOG_HUNG',
  retryable: true,
  message: ({ instance, probe, failures, forMs, last }) =>
    `${instance} is alive but does not answer: ${probe} failed ${failures} times in ${seconds(forMs)}, last: ${last}`,
  hint: 'if it was only busy, give it more time with services.watchdog.policies.<instance>.liveness',
});

export const StalledError = defineError<Observed & { jobs: readonly string[]; forMs: number }>({
  code: 'WATCHDOG_STALLED',
  retryable: true,
  message: ({ instance, jobs, forMs }) =>
    `${instance} has made no progress for ${seconds(forMs)} with ${jobs.join(', ')} in hand`,
  hint: 'if such jobs take that long, raise services.watchdog.policies.<instance>.stallAfterMs',
});

export const StartDeadlineError = defineError<Observed & { limitMs: number }>({
  code: 'WATCHDOG_START_DEADLINE',
  retryable: true,
  message: ({ instance, limitMs }) => `${instance} was not started within ${seconds(limitMs)}`,
  hint: 'a slow first start needs a longer services.watchdog.policies.<instance>.startDeadlineMs',
});

export const FaultError = defineError<Observed & { rule: string; reason: string; cure: string }>({
  code: 'WATCHDOG_FAULT',
  retryable: true,
  message: ({ reason }) => reason,
  hint: ({ cure }) => cure,
});

export const RestartDisabledError = defineError<{ instance: string; file: string }>({
  code: 'WATCHDOG_RESTART_DISABLED',
  message: ({ instance, file }) => `${instance} is not restarted: ${file} is not there`,
  hint: ({ file }) => `\`touch ${file}\` restarts it, and so does \`mgpu up\``,
});

export const GpuQuarantinedError = defineError<{ gpu: string; reason: string; cure: string; file: string }>({
  code: 'WATCHDOG_GPU_QUARANTINED',
  message: ({ reason }) => `its GPU is out of service: ${reason}`,
  hint: ({ cure, file }) => `${cure}; then remove ${file}, or reboot`,
});

export const IntakeStoppedError = defineError<{ reason: string; cure: string }>({
  code: 'WATCHDOG_INTAKE_STOPPED',
  retryable: true,
  message: ({ reason }) => `the machine takes no new jobs: ${reason}`,
  hint: ({ cure }) => cure,
});

export const EngineRenewedError = defineError<{ engine: string; reason: string }>({
  code: 'WATCHDOG_ENGINE_RENEWED',
  retryable: true,
  message: ({ engine, reason }) => `${engine} is being restarted between two jobs: ${reason}`,
  hint: 'it goes on by itself',
});

export const VramHeldError = defineError<{ reason: string; cure: string }>({
  code: 'WATCHDOG_VRAM_HELD',
  retryable: true,
  message: ({ reason }) => reason,
  hint: ({ cure }) => cure,
});

export const VramUncheckedError = defineError<{ instance: string }>({
  code: 'WATCHDOG_VRAM_UNCHECKED',
  retryable: true,
  message: ({ instance }) => `nvidia-smi is asked whether the GPU memory of the last run of ${instance} is free`,
  hint: 'it goes on by itself, within seconds',
});
