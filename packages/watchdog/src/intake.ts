import { type Logger, reportError } from '@mgpu/core';
import { IntakeStoppedError } from './errors.ts';
import type { Feeders } from './feeders.ts';
import type { Verdict } from './rules/verdict.ts';

const hold = 'host';

/** Whether the machine takes jobs: whoever feeds an engine is stopped, its work in hand ended, while there is a reason. */
export class Intake {
  readonly #feeders: Feeders;
  readonly #log: Logger;
  /** By rule. */
  readonly #reasons = new Map<string, Verdict>();
  readonly #held = new Set<string>();

  constructor(feeders: Feeders, log: Logger) {
    this.#feeders = feeders;
    this.#log = log;
  }

  /** Whether it is stopped, for any reason or for that of a rule. */
  isStopped(rule?: string): boolean {
    return rule === undefined ? this.#reasons.size > 0 : this.#reasons.has(rule);
  }

  stop(verdict: Verdict): void {
    this.#reasons.set(verdict.rule, verdict);
    this.apply();
  }

  /** That reason is gone. */
  resume(rule: string): void {
    this.#reasons.delete(rule);
    this.apply();
  }

  /** Nobody is there any more who could tell when the reasons are gone. */
  end(): void {
    this.#reasons.clear();
    this.apply();
  }

  /** Also those that were started meanwhile. */
  apply(): void {
    const [verdict] = this.#reasons.values();
    for (const each of this.#feeders.of()) {
      if (verdict === undefined) {
        if (this.#held.delete(each.id)) each.release(hold);
      } else if (!this.#held.has(each.id)) {
        this.#held.add(each.id);
        const { reason, hint: cure } = verdict;
        each.hold(hold, reportError(new IntakeStoppedError({ reason, cure }))).catch((error: unknown) => {
          this.#log.error(`${each.id} could not be stopped`, { error });
        });
      }
    }
  }
}
