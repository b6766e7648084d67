import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Clock } from '../clock.ts';
import { type ErrorReport, reportError } from '../errors/mgpu-error.ts';
import { writeFileAtomically } from '../files/atomic.ts';

export type BootOutcome = 'running' | 'ok' | 'failed' | 'skipped' | 'cancelled';

/** One step of a phase. Times in milliseconds from the beginning of the boot. */
export interface BootNode {
  readonly id: string;
  readonly startedMs: number;
  readonly ms: number;
  readonly outcome: BootOutcome;
  /** The dependency that was the last to be there. */
  readonly waitedFor?: string;
  readonly error?: ErrorReport;
}

/** A named part of the boot, for people to watch. */
export interface BootPhase {
  readonly name: string;
  readonly critical: boolean;
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
  readonly outcome: BootOutcome;
  readonly phases: readonly BootPhase[];
}

interface OpenPhase {
  readonly name: string;
  readonly critical: boolean;
  readonly startedMs: number;
  expected: number;
  readonly nodes: BootNode[];
}

/** Collects what happens during a boot and tells when a phase began or ended. */
export class BootTrace {
  readonly #clock: Clock;
  readonly #daemonRun: string;
  readonly #startedAt: number;
  readonly #origin: number;
  readonly #phases = new Map<string, OpenPhase>();
  readonly #onPhase: (phase: BootPhase) => void;

  constructor(options: { daemonRun: string; clock: Clock; onPhase?: (phase: BootPhase) => void }) {
    this.#clock = options.clock;
    this.#daemonRun = options.daemonRun;
    this.#startedAt = options.clock.now();
    this.#origin = options.clock.elapsed();
    this.#onPhase = options.onPhase ?? (() => {});
  }

  /** How many steps a phase is going to have: it ends with the last of them. */
  expect(phase: string, critical: boolean, steps: number): void {
    const open = this.#phases.get(phase);
    if (open) open.expected += steps;
    else this.#phases.set(phase, { name: phase, critical, startedMs: -1, expected: steps, nodes: [] });
  }

  /** Runs one step and records its outcome; rethrows what it throws. */
  async step<T>(phase: string, id: string, work: () => Promise<T>, waitedFor?: string): Promise<T> {
    const open = this.#open(phase);
    const startedMs = this.#elapsed();
    try {
      const result = await work();
      this.#close(open, {
        id,
        startedMs,
        ms: this.#elapsed() - startedMs,
        outcome: 'ok',
        ...(waitedFor ? { waitedFor } : {}),
      });
      return result;
    } catch (error) {
      const report = reportError(error);
      const outcome = report.code === 'CORE_START_ABORTED' ? 'cancelled' : 'failed';
      this.#close(open, {
        id,
        startedMs,
        ms: this.#elapsed() - startedMs,
        outcome,
        error: report,
        ...(waitedFor ? { waitedFor } : {}),
      });
      throw error;
    }
  }

  /** Records a step that never ran. */
  skip(phase: string, id: string, outcome: 'skipped' | 'cancelled', error: unknown): void {
    const open = this.#open(phase);
    this.#close(open, { id, startedMs: this.#elapsed(), ms: 0, outcome, error: reportError(error) });
  }

  report(): BootReport {
    const phases = [...this.#phases.values()].filter(({ startedMs }) => startedMs >= 0).map(view);
    const outcomes = phases.map(({ outcome }) => outcome);
    const failed = phases.some(({ critical, outcome }) => critical && outcome === 'failed');
    return {
      v: 1,
      daemonRun: this.#daemonRun,
      startedAt: new Date(this.#startedAt).toISOString(),
      totalMs: Math.round(Math.max(0, ...phases.map(({ startedMs, ms }) => startedMs + ms))),
      outcome: failed
        ? 'failed'
        : outcomes.includes('running')
          ? 'running'
          : outcomes.includes('cancelled')
            ? 'cancelled'
            : 'ok',
      phases: phases.toSorted((a, b) => a.startedMs - b.startedMs),
    };
  }

  /** Keeps the report under the machine's state folder; returns the path. */
  async save(stateDir: string): Promise<string> {
    const path = join(stateDir, 'boots', `${this.#daemonRun}.json`);
    await mkdir(dirname(path), { recursive: true });
    await writeFileAtomically(path, `${JSON.stringify(this.report(), null, 2)}\n`, 0o640);
    return path;
  }

  #elapsed(): number {
    return Math.round((this.#clock.elapsed() - this.#origin) * 10) / 10;
  }

  #open(name: string): OpenPhase {
    const known = this.#phases.get(name) ?? { name, critical: true, startedMs: -1, expected: 1, nodes: [] };
    if (known.startedMs >= 0) return known;
    const begun = { ...known, startedMs: this.#elapsed() };
    this.#phases.set(name, begun);
    this.#onPhase(view(begun));
    return begun;
  }

  #close(phase: OpenPhase, node: BootNode): void {
    phase.nodes.push(node);
    if (phase.nodes.length >= phase.expected) this.#onPhase(view(phase));
  }
}

function view({ name, critical, startedMs, expected, nodes }: OpenPhase): BootPhase {
  const ms = Math.max(0, ...nodes.map((node) => node.startedMs + node.ms)) - startedMs;
  const outcomes = nodes.map(({ outcome }) => outcome);
  const worst = (['failed', 'cancelled', 'skipped', 'ok'] as const).find((each) => outcomes.includes(each)) ?? 'ok';
  const outcome = nodes.length < expected ? 'running' : worst;
  return { name, critical, outcome, startedMs, ms: Math.round(Math.max(0, ms) * 10) / 10, nodes: [...nodes] };
}
