import { type EnvironmentVariable, numberFromText } from '@mgpu/core';
import { z } from 'zod';

const ms = () => z.number().int().positive();
const share = () => z.number().min(0).max(1);
const gib = () => z.number().nonnegative();

/** How instances recover; what is left out comes from the next layer below. */
const policySchema = z.strictObject({
  restart: z
    .enum(['always', 'on-failure', 'never'])
    .optional()
    .describe('When it is started again by itself; "on-failure" leaves an exit code 0 alone'),
  attempts: z
    .number()
    .int()
    .min(1)
    .max(100)
    .optional()
    .describe('Failures within the window after which it is given up'),
  windowMs: ms().optional().describe('Milliseconds in which failures are counted'),
  backoff: z
    .strictObject({
      baseMs: ms().optional().describe('Milliseconds before the second restart of a row'),
      factor: z.number().min(1).max(10).optional().describe('By which each further pause is longer'),
      capMs: ms().optional().describe('Milliseconds of the longest pause'),
      jitter: share().optional().describe('Share by which pauses are spread, so that not all restart at once'),
    })
    .optional()
    .describe('Pauses between restarts'),
  stableAfterMs: ms().optional().describe('Milliseconds of being ready after which counting begins anew'),
  startDeadlineMs: ms().optional().describe("Milliseconds a start may take beside the service's own limit"),
  liveness: z
    .strictObject({
      intervalMs: ms().optional().describe('Milliseconds between two tries'),
      timeoutMs: ms().optional().describe('Milliseconds one try may take'),
      failures: z.number().int().min(1).optional().describe('Failures in a row that mean it hangs'),
    })
    .optional()
    .describe("Numbers of its liveness probe, over the service's own"),
  stallAfterMs: ms().optional().describe('Milliseconds without progress after which work in hand counts as stuck'),
  memoryMiB: z.number().positive().optional().describe('Memory of its processes above which it is restarted when idle'),
});

/** Configuration below `services.watchdog`. */
export const watchdogSchema = z.strictObject({
  enabled: z.boolean().default(true).describe('Whether failed instances are restarted and faults acted upon'),
  sweepMs: ms().default(30_000).describe('Milliseconds between two looks at everything, for what events missed'),
  defaults: policySchema.prefault({}).describe('How instances recover whose service says nothing else'),
  policies: z
    .record(z.string().min(1), policySchema)
    .default({})
    .describe('The same by kind or instance, over what the service says; an instance wins over its kind'),
  coolOffMs: z
    .union([z.literal('off'), ms()], { error: 'must be "off" or a number of milliseconds' })
    .default(900_000)
    .describe('Milliseconds after giving up until one more attempt, doubled up to an hour; "off": none'),
  restartsPerMinute: z
    .number()
    .int()
    .min(1)
    .default(20)
    .describe('Restarts of the whole machine; more wait their turn'),
  disk: z
    .strictObject({
      warnGiB: gib().default(20).describe('Room below which it is said'),
      cleanGiB: gib().default(10).describe('Room below which old outputs are removed'),
      stopGiB: gib().default(2).describe('Room below which no new jobs are taken'),
      resumeGiB: gib().default(4).describe('Room above which jobs are taken again'),
    })
    .prefault({})
    .describe('Room on the disk of the root'),
  cleanUp: z
    .strictObject({
      enabled: z.boolean().default(false).describe('Whether old outputs may be removed when the disk fills'),
      folders: z
        .array(z.string().min(1))
        .default(['artifacts'])
        .describe('Folders below the root that are cleaned up; `*` stands for one name'),
      olderThanMs: ms().default(604_800_000).describe('Milliseconds for which files are left alone'),
    })
    .prefault({})
    .describe('Removal of old outputs'),
  memory: z
    .strictObject({
      warnShare: share().default(0.1).describe('Share left of the memory below which it is said'),
      stopShare: share().default(0.03).describe('Share below which no new jobs are taken'),
      resumeShare: share().default(0.08).describe('Share above which jobs are taken again'),
    })
    .prefault({})
    .describe('Memory of the machine, or of its container'),
  logMiBPerMinute: z.number().positive().default(100).describe('Output of an instance above which it is said'),
  gpu: z
    .strictObject({
      queryMs: ms().default(60_000).describe('Milliseconds between two questions to nvidia-smi'),
      kernelLog: z
        .string()
        .min(1)
        .default('auto')
        .describe('"auto" reads the kernel\'s log, "off" does not; or the path of a file that gets its lines'),
      toleratedMiB: z
        .union([z.literal('off'), z.number().nonnegative()], { error: 'must be "off" or a number of MiB' })
        .default(256)
        .describe(
          'MiB of GPU memory, free before, above which an engine that failed waits for its release; "off": never',
        ),
    })
    .prefault({})
    .describe('Where GPU faults are read, and what memory is waited for'),
});

export type WatchdogConfig = z.output<typeof watchdogSchema>;
export type PolicyOptions = z.output<typeof policySchema>;

const secondsFromText = (text: string) => {
  const seconds = numberFromText(text);
  return typeof seconds === 'number' ? seconds * 1_000 : text;
};

/** The predecessor watched over workers alone. */
export const watchdogEnvironment: Readonly<Record<string, EnvironmentVariable>> = {
  WORKER_MAX_RESTART_ATTEMPTS: {
    key: 'policies.worker.attempts',
    summary: 'Failures in 10 minutes after which a worker is given up',
    parse: numberFromText,
  },
  WORKER_RESTART_DELAY: {
    key: 'policies.worker.backoff.baseMs',
    summary: "Seconds before a worker's second restart in a row",
    parse: secondsFromText,
  },
  WORKER_CHECK_INTERVAL: { key: 'sweepMs', summary: 'Seconds between two looks at everything', parse: secondsFromText },
};
