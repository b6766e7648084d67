import { join } from 'node:path';
import {
  defineService,
  type Endpoint,
  gpuSelectionSchema,
  httpProbe,
  type Probes,
  ProcessService,
  type ProcessSpec,
  type ServiceDefinition,
} from '@mgpu/core';
import { z } from 'zod';

/** What a subject is told to do; `subject.mjs` does it. */
export interface Behaviour {
  /** Milliseconds until it listens. */
  readonly startMs?: number;
  /** Its first so many starts (default: all) end at once. */
  readonly exitAtStart?: { readonly code?: number; readonly times?: number };
  readonly neverReady?: boolean;
  readonly readyAfterMs?: number;
  /** Every other question about its readiness gets a no. */
  readonly flap?: boolean;
  readonly dieAfterMs?: number;
  readonly exit?: number;
  readonly killed?: NodeJS.Signals;
  /** It accepts and never answers, or never comes to an end of its answer, or ends its own side of the connection alone. */
  readonly hang?: 'silent' | 'drip' | 'half-open' | false;
  readonly ignoreTerm?: boolean;
  /** A child that ignores SIGTERM: in its group, or forked twice into a session of its own. */
  readonly helper?: 'group' | 'session';
  /** The helper holds the port in its place. */
  readonly helperListens?: boolean;
  readonly zombie?: boolean;
  /** Prints numbered lines of a kilobyte as fast as it can until there are so many. */
  readonly flood?: number;
  /** Takes so much memory and uses it. */
  readonly eatMiB?: number;
  /** Prints one line of so many bytes that are no text. */
  readonly noise?: number;
  /** Prints one line of so many bytes of text. */
  readonly ramble?: number;
  /** Prints so many lines of characters of four bytes, each line in two writes that cut a character; 0 stops that. */
  readonly pieces?: number;
}

const schema = z.strictObject({
  enabled: z.boolean().default(false),
  gpus: gpuSelectionSchema,
  port: z.number().int().default(0),
  behaviour: z.custom<Behaviour>().default({}),
  /** A command of another kind, which is ready when it runs. */
  command: z.array(z.string()).optional(),
  cwd: z.string().optional(),
  graceMs: z.number().default(1_000),
  startDeadlineMs: z.number().default(60_000),
  liveMs: z.number().default(200),
});

class Subject extends ProcessService<z.output<typeof schema>> {
  override get endpoint(): Endpoint {
    const { index } = typeof this.context.gpu === 'object' ? this.context.gpu : {};
    const url = new URL(`http://127.0.0.1:${this.config.port + (index ?? 0)}/`);
    return { instance: this.id, kind: this.kind, url, ...(index === undefined ? {} : { gpu: index }) };
  }

  protected override command(): ProcessSpec {
    const { command, cwd, behaviour, graceMs } = this.config;
    const [file = '', ...args] = command ?? [
      process.execPath,
      join(import.meta.dirname, 'subject.mjs'),
      this.endpoint.url.port,
      JSON.stringify(behaviour),
    ];
    const ports = command ? [] : [{ host: '127.0.0.1', port: Number(this.endpoint.url.port) }];
    return { file, args, graceMs, ports, ...(cwd === undefined ? {} : { cwd }) };
  }

  protected override probes(): Probes {
    const { command, startDeadlineMs: deadlineMs, liveMs: intervalMs } = this.config;
    if (command) return {};
    const ready = httpProbe(new URL('/ready', this.endpoint.url));
    return {
      startup: { probe: ready, deadlineMs, intervalMs: 20 },
      readiness: { probe: ready, intervalMs: 200, failures: 2 },
      // Long enough that a busy box is not taken for a hanging program.
      liveness: { probe: httpProbe(this.endpoint.url), intervalMs, timeoutMs: 2_000, failures: 3 },
    };
  }
}

const subject = (kind: string, options: Partial<Pick<ServiceDefinition, 'scope' | 'critical' | 'dependsOn'>> = {}) =>
  defineService({
    api: 1,
    kind,
    summary: 'Falls ill on request',
    scope: 'machine',
    phase: kind,
    critical: false,
    schema,
    create: (config, context) => new Subject(config, context),
    ...options,
  });

export const alpha = subject('alpha');
export const beta = subject('beta');
export const gamma = subject('gamma');
/** Its failure is the boot's. */
export const vital = subject('vital', { critical: true });
export const follower = subject('follower', { dependsOn: [{ on: 'alpha', when: 'ready' }] });
/** One on every GPU, and another one. */
export const engine = subject('engine', { scope: 'gpu' });
export const motor = subject('motor', { scope: 'gpu' });
