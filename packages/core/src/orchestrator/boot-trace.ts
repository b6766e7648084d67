import type { Clock } from '../clock.ts';
import { InstanceHeldError, StartAbortedError } from '../errors/core-errors.ts';
import { type ErrorReport, reportError } from '../errors/mgpu-error.ts';

export type BootOutcome = 'running' | 'ok' | 'failed' | 'skipped' | 'cancelled';

/** One step of a phase. Times in milliseconds from the beginning of the boot. */
export interface BootNode {
  readonly id: string;
  /** Whether its failure stops the boot. */
  readonly critical: boolean;
  readonly startedMs: number;
  readonly ms: number;
  readonly outcome: BootOutcome;
  /** What was the last to be there: an instance, or an install step. */
  readonly waitedFor?: string;
  readonly error?: ErrorReport;
}

/** A named part of the boot, for people to watch. */
export interface BootPhase {
  readonly name: string;
  /** Whether any of its steps is. */
  readonly critical: boolean;
  /** The worst of its steps. */
  readonly outcome: BootOutcome;
  readonly startedMs: number;
  readonly ms: number;
  readonly nodes: readonly BootNode[];
}

/** The whole boot as it is kept in `state/boots/<daemonRun>.json`. */
export interface BootReport {
  readonly v: 1;
  readonly daemonRun: string;
  /** ISO time. */
  readonly startedAt: string;
  readonly totalMs: number;
  /** `degraded`: something that is not critical failed. */
  readonly outcome: BootOutcome | 'degraded';
  readonly phases: readonly BootPhase[];
}

/** What the trace is told about a step. */
interface StepFacts {
  readonly critical?: boolean;
  readonly waitedFor?: string | undefined;
}

interface Phase {
  readonly name: string;
  readonly critical: boolean;
  readonly startedMs: number;
  readonly expected: number;
  readonly nodes: BootNode[];
}

/** Collects what happens during a boot and tells when a phase began or ended. */
export class BootTrace {
  readonly #clock: Clock;
  readonly #daemonRun: string;
  readonly #startedAt: number;
  readonly #origin: number;
  readonly #phases = new Map<string, Phase>();
  readonly #onPhase: (phase: BootPhase) => void;

  constructor(options: { daemonRun: string; clock: Clock; onPhase?: (phase: BootPhase) => void }) {
    this.#clock = options.clock;
    this.#daemonRun = options.daemonRun;
    this.#startedAt = options.clock.now();
    this.#origin = options.clock.elapsed();
    this.#onPhase = options.onPhase ?? (() => {});
  }

  /** The phase is going to have one step more: it ends with the last of them. */
  expect(phase: string, critical: boolean): void {
    const known = this.#phases.get(phase);
    this.#phases.set(phase, {
      name: phase,
      critical: critical || known?.critical === true,
      startedMs: known?.startedMs ?? -1,
      expected: (known?.expected ?? 0) + 1,
      nodes: known?.nodes ?? [],
    });
  }

  /** Runs one step and records its outcome; rethrows what it throws. Critical unless said otherwise. */
  async step<T>(
    phase: string,
    id: string,
    work: () => Promise<T>,
    { critical = true, waitedFor }: StepFacts = {},
  ): Promise<T> {
    this.#begin(phase);
    const startedMs = this.#elapsed();
    const end = (how: Pick<BootNode, 'outcome' | 'error'>) =>
      this.#end(phase, {
        id,
        // Something that is kept from starting on purpose is no failure of the boot.
        critical: critical && how.outcome !== 'skipped',
        startedMs,
        ms: round(this.#elapsed() - startedMs),
        ...how,
        ...(waitedFor === undefined ? {} : { waitedFor }),
      });
    try {
      const result = await work();
      end({ outcome: 'ok' });
      return result;
    } catch (error) {
      end({ outcome: outcomeOf(error), error: reportError(error) });
      throw error;
    }
  }

  /** Records a step that never ran. */
  skip(
    phase: string,
    id: string,
    { critical, outcome, error }: { critical: boolean; outcome: 'skipped' | 'cancelled'; error: unknown },
  ): void {
    this.#begin(phase);
    this.#end(phase, { id, critical, startedMs: this.#elapsed(), ms: 0, outcome, error: reportError(error) });
  }

  report(): BootReport {
    const phases = [...this.#phases.values()].filter(({ startedMs }) => startedMs >= 0).map(view);
    return {
      v: 1,
      daemonRun: this.#daemonRun,
      startedAt: new Date(this.#startedAt).toISOString(),
      totalMs: Math.round(Math.max(0, ...phases.map(({ startedMs, ms }) => startedMs + ms))),
      outcome: this.#outcome(),
      phases: phases.toSorted((a, b) => a.startedMs - b.startedMs),
    };
  }

  #outcome(): BootReport['outcome'] {
    const phases = [...this.#phases.values()];
    const nodes = phases.flatMap((each) => each.nodes);
    const has = (...outcomes: BootOutcome[]) => nodes.some(({ outcome }) => outcomes.includes(outcome));
    const broken = nodes.filter(({ outcome }) => outcome === 'failed' || outcome === 'skipped');
    if (broken.some(({ critical }) => critical)) return 'failed';
    if (phases.some(isOpen)) return 'running';
    if (has('cancelled')) return 'cancelled';
    return broken.length > 0 ? 'degraded' : 'ok';
  }

  #elapsed(): number {
    return round(this.#clock.elapsed() - this.#origin);
  }

  #begin(name: string): void {
    const known = this.#phases.get(name);
    if (known && known.startedMs >= 0) return;
    const begun = { name, critical: true, expected: 1, nodes: [], ...known, startedMs: this.#elapsed() };
    this.#phases.set(name, begun);
    this.#onPhase(view(begun));
  }

  #end(name: string, node: BootNode): void {
    const phase = this.#phases.get(name);
    if (!phase) return;
    phase.nodes.push(node);
    if (!isOpen(phase)) this.#onPhase(view(phase));
  }
}

function outcomeOf(error: unknown): BootOutcome {
  if (error instanceof StartAbortedError) return 'cancelled';
  return error instanceof InstanceHeldError ? 'skipped' : 'failed';
}

const isOpen = ({ nodes, expected }: Phase) => nodes.length < expected;
const round = (ms: number) => Math.round(ms * 10) / 10;

function view(phase: Phase): BootPhase {
  const { name, critical, startedMs, nodes } = phase;
  const ms = Math.max(0, ...nodes.map((node) => node.startedMs + node.ms - startedMs));
  const worst = (['failed', 'cancelled', 'skipped'] as const).find((each) =>
    nodes.some(({ outcome }) => outcome === each),
  );
  const outcome = isOpen(phase) ? 'running' : (worst ?? 'ok');
  return { name, critical, outcome, startedMs, ms: round(ms), nodes: [...nodes] };
}
