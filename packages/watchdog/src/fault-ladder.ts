import { type Clock, type Logger, reportError, type SupervisedInstance, type Supervisor } from '@mgpu/core';
import { EngineRenewedError, FaultError } from './errors.ts';
import { evidenceOf } from './evidence.ts';
import type { Feeders } from './feeders.ts';
import type { IncidentBook } from './incidents.ts';
import type { Intake } from './intake.ts';
import type { Quarantine } from './quarantine.ts';
import type { Verdict } from './rules/verdict.ts';

export interface FaultLadderOptions {
  readonly supervisor: Supervisor;
  readonly feeders: Feeders;
  readonly incidents: IncidentBook;
  readonly quarantine: Quarantine;
  readonly intake: Intake;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
  /** Removes old outputs; tells what it did. */
  readonly cleanUp: () => Promise<string>;
}

const renewHold = 'renewal';
/** Milliseconds between two removals of old outputs while that is asked for: some have grown old since. */
const cleanAgainMs = 3_600_000;

/** Does what verdicts ask for, from saying so to putting a GPU out of service. */
export class FaultLadder {
  readonly #options: FaultLadderOptions;
  /** States that last, by group; in each by rule and subject. */
  readonly #lasting = new Map<string, Map<string, Verdict>>();
  /** When old outputs were last removed; monotonic milliseconds. */
  #cleanedAt = Number.NEGATIVE_INFINITY;
  /** Why an engine is to be restarted as soon as it has no job in hand, by engine. */
  readonly #due = new Map<string, Verdict>();
  readonly #renewing = new Set<string>();

  constructor(options: FaultLadderOptions) {
    this.#options = options;
  }

  /** Something happened: each verdict is acted upon. */
  happened(verdicts: readonly Verdict[]): void {
    for (const each of verdicts) this.#act(each);
  }

  /**
   * How things stand, by one group of rules: acted upon when a verdict is new, or asks for something else than before; what is not
   * said any more is over.
   */
  stands(group: string, verdicts: readonly Verdict[]): void {
    const former = this.#lasting.get(group) ?? new Map<string, Verdict>();
    const present = new Map(verdicts.map((each) => [keyOf(each), each]));
    this.#lasting.set(group, present);
    for (const [key, verdict] of present) {
      const before = former.get(key);
      if (before && before.action !== verdict.action) this.#withdraw(before);
      if (before?.action !== verdict.action || before.severity !== verdict.severity) this.#act(verdict);
      else if (verdict.action === 'clean-up' && this.#options.clock.elapsed() - this.#cleanedAt >= cleanAgainMs)
        this.#begin(verdict);
    }
    for (const [key, verdict] of former) if (!present.has(key)) this.#over(verdict);
  }

  /** Whom that group is about is gone, and how it stood with it. */
  forget(group: string): void {
    for (const verdict of this.#lasting.get(group)?.values() ?? []) this.#callOff(verdict);
    this.#lasting.delete(group);
  }

  /** Restarts engines that are to be restarted between two jobs and have none in hand. Such a moment is short: to be called often. */
  renewIdle(): void {
    const observations = this.#due.size > 0 ? this.#options.feeders.ask() : [];
    for (const [engine, verdict] of this.#due) {
      const isBusy = observations.some(({ instance, feeder, work }) => {
        return (instance === engine || feeder === engine) && work.length > 0;
      });
      if (!isBusy && !this.#renewing.has(engine)) void this.#renew(verdict);
    }
  }

  #act(verdict: Verdict): void {
    const { log, incidents } = this.#options;
    const { rule, subject, scope, severity, action, reason, hint, evidence } = verdict;
    const level = severity === 'info' ? 'debug' : severity === 'warning' ? 'warn' : 'error';
    log[level](reason, { rule, subject, action, hint });
    // A restart is a failure of its instance, which has an incident of its own.
    if (action !== 'restart' || !this.#find(subject)) {
      const gpu = this.#gpuOf(verdict);
      incidents.open({ subject, scope, severity, gpu, evidence, cause: { code: rule, message: reason, hint } });
    }
    this.#begin(verdict);
  }

  #begin(verdict: Verdict): void {
    const { rule, subject, action } = verdict;
    this.#carryOut(verdict).catch((error: unknown) => {
      this.#options.log.error(`${subject}: ${action} failed`, { rule, error });
    });
  }

  async #carryOut(verdict: Verdict): Promise<void> {
    const { quarantine, intake, incidents, clock, cleanUp } = this.#options;
    const { rule, action, subject } = verdict;
    if (action === 'restart') return this.#restart(verdict);
    if (action === 'relieve') return this.#relieve(verdict);
    if (action === 'restart-when-idle') {
      this.#due.set(subject, verdict);
      this.renewIdle();
    }
    if (action === 'drain-gpu' || action === 'quarantine-gpu')
      return quarantine.put(verdict, { drain: action === 'drain-gpu' });
    if (action === 'stop-intake') {
      intake.stop(verdict);
      incidents.note(subject, 'no new jobs are taken', rule);
    }
    if (action === 'clean-up') {
      this.#cleanedAt = clock.elapsed();
      incidents.note(subject, await cleanUp(), rule);
    }
    if (action === 'tell-worker') incidents.note(subject, 'its worker deals with the job', rule);
  }

  async #restart({ rule, subject, reason, hint: cure, evidence }: Verdict): Promise<void> {
    const instance = this.#find(subject);
    const run = instance?.status.run;
    if (!instance || run === undefined) return;
    const seen = await evidenceOf(instance);
    if (instance.status.run !== run) return;
    const facts = { ...seen, evidence: [...evidence, ...seen.evidence] };
    instance.fail(new FaultError({ instance: subject, rule, reason, cure, ...facts }));
  }

  async #relieve({ subject }: Verdict): Promise<void> {
    const { incidents, signal } = this.#options;
    const relieved = await this.#find(subject)?.relieve({ signal });
    incidents.note(subject, relieved ? 'its memory was freed' : 'it knows no way to free memory');
  }

  /** Whoever feeds it takes no more meanwhile. */
  async #renew(verdict: Verdict): Promise<void> {
    const { feeders, incidents, log } = this.#options;
    const { subject: engine, reason } = verdict;
    this.#renewing.add(engine);
    const others = feeders.of(engine);
    try {
      const error = reportError(new EngineRenewedError({ engine, reason }));
      await Promise.all(others.map((each) => each.hold(renewHold, error)));
      await this.#find(engine)?.restart();
      incidents.note(engine, 'restarted between two jobs');
    } catch (error) {
      log.error(`${engine} could not be restarted between two jobs`, { rule: verdict.rule, error });
      // As if it had not been said: where it still stands at the next look, it is tried again.
      for (const verdicts of this.#lasting.values()) verdicts.delete(keyOf(verdict));
    } finally {
      this.#due.delete(engine);
      this.#renewing.delete(engine);
      for (const each of others) each.release(renewHold);
    }
  }

  #over(verdict: Verdict): void {
    const { log, incidents } = this.#options;
    log.info(`over: ${verdict.reason}`, { rule: verdict.rule, subject: verdict.subject });
    incidents.note(verdict.subject, `over: ${verdict.rule}`, verdict.rule);
    this.#withdraw(verdict);
  }

  /** What it asked for is not asked for any more. */
  #withdraw(verdict: Verdict): void {
    if (verdict.action === 'stop-intake') this.#resume(verdict);
    this.#callOff(verdict);
  }

  #callOff({ rule, subject }: Verdict): void {
    if (this.#due.get(subject)?.rule === rule) this.#due.delete(subject);
  }

  #resume({ rule, subject }: Verdict): void {
    const { intake, incidents } = this.#options;
    intake.resume(rule);
    if (!intake.isStopped()) incidents.note(subject, 'jobs are taken again', rule);
  }

  #find(id: string): SupervisedInstance | undefined {
    return this.#options.supervisor.instances().find((each) => each.id === id);
  }

  #gpuOf({ subject, scope }: Verdict): number | undefined {
    const instances = this.#options.supervisor.instances();
    return instances.find(({ id, gpu }) => (scope === 'gpu' ? gpu?.uuid === subject : id === subject))?.gpu?.index;
  }
}

const keyOf = ({ rule, subject }: Verdict): string => `${rule} ${subject}`;
