import { type Logger, reportError, type SupervisedInstance, type Supervisor } from '@mgpu/core';
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
  readonly log: Logger;
  readonly signal: AbortSignal;
  /** Removes old outputs; tells what it did. */
  readonly cleanUp: () => Promise<string>;
}

const renewHold = 'renewal';

/** Does what verdicts ask for, from saying so to putting a GPU out of service. */
export class FaultLadder {
  readonly #options: FaultLadderOptions;
  /** States that last, by group; in each by rule and subject. */
  readonly #lasting = new Map<string, ReadonlyMap<string, Verdict>>();
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
    const present = new Map(verdicts.map((each) => [`${each.rule} ${each.subject}`, each]));
    this.#lasting.set(group, present);
    for (const [key, verdict] of present) {
      const before = former.get(key);
      if (before?.action === 'stop-intake' && verdict.action !== 'stop-intake') this.#resume(before);
      if (before?.action !== verdict.action || before.severity !== verdict.severity) this.#act(verdict);
    }
    for (const [key, verdict] of former) if (!present.has(key)) this.#over(verdict);
  }

  /** Whom that group is about is gone, and how it stood with it. */
  forget(group: string): void {
    this.#lasting.delete(group);
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
    this.#carryOut(verdict).catch((error: unknown) => log.error(`${subject}: ${action} failed`, { rule, error }));
  }

  async #carryOut(verdict: Verdict): Promise<void> {
    const { quarantine, intake, incidents, cleanUp } = this.#options;
    const { rule, action, subject } = verdict;
    if (action === 'restart') return this.#restart(verdict);
    if (action === 'relieve') return this.#relieve(verdict);
    if (action === 'restart-when-idle') return this.#renew(verdict);
    if (action === 'drain-gpu' || action === 'quarantine-gpu')
      return quarantine.put(verdict, { drain: action === 'drain-gpu' });
    if (action === 'stop-intake') {
      intake.stop(verdict);
      incidents.note(subject, 'no new jobs are taken', rule);
    }
    if (action === 'clean-up') incidents.note(subject, await cleanUp(), rule);
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

  /** Restarts it between two jobs: whoever feeds it ends its work in hand first and takes no more meanwhile. */
  async #renew({ subject: engine, reason }: Verdict): Promise<void> {
    const { feeders, incidents } = this.#options;
    const instance = this.#find(engine);
    if (!instance || this.#renewing.has(engine)) return;
    this.#renewing.add(engine);
    const others = feeders.of(engine);
    try {
      const error = reportError(new EngineRenewedError({ engine, reason }));
      await Promise.all(others.map((each) => each.hold(renewHold, error)));
      await instance.restart();
      incidents.note(engine, 'restarted between two jobs');
    } finally {
      this.#renewing.delete(engine);
      for (const each of others) each.release(renewHold);
    }
  }

  #over(verdict: Verdict): void {
    const { log, incidents } = this.#options;
    log.info(`over: ${verdict.reason}`, { rule: verdict.rule, subject: verdict.subject });
    incidents.note(verdict.subject, `over: ${verdict.rule}`, verdict.rule);
    if (verdict.action === 'stop-intake') this.#resume(verdict);
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
