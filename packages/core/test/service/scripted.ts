import { BaseService, type Clock, type Logger, type Probes, type Run } from '@mgpu/core';
import { type Recorder, record, testContext } from '@mgpu/core/testing';
import { onTestFinished } from 'vitest';

export interface Script {
  readonly onStart?: (run: Run) => Promise<void> | void;
  readonly probes?: Probes;
}

/** A service that does what its configuration says, and counts. */
export class Scripted extends BaseService<Script> {
  starts = 0;
  /** Runs that have not been released. */
  live = 0;
  /** The latest run, over or not. */
  run: Run | undefined;

  protected override async onStart(run: Run): Promise<void> {
    this.starts += 1;
    this.live += 1;
    this.run = run;
    run.defer(() => {
      this.live -= 1;
    });
    await this.config.onStart?.(run);
  }

  protected override probes(): Probes {
    return this.config.probes ?? {};
  }
}

export interface Seen {
  readonly state: string;
  readonly health: string;
}

export function scripted(
  script: Script = {},
  options: { log?: Logger; clock?: Clock } = {},
): { service: Scripted; states: Recorder<Seen> } {
  const context = testContext({ kind: 'scripted', ...options });
  onTestFinished(() => context[Symbol.dispose]());
  const service = new Scripted(script, context);
  return { service, states: record<Seen>(service, 'status') };
}

/** A logger that passes on the text of errors. */
export function errorLog(onError: (message: string) => void): Logger {
  const log: Logger = { error: onError, warn() {}, info() {}, debug() {}, child: () => log };
  return log;
}
