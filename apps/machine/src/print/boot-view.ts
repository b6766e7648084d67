import type { MachineEvent, MachineStatus } from '@mgpu/control';
import type { BootPhase } from '@mgpu/core';
import { paint } from './colours.ts';
import type { Output } from './output.ts';
import { clip, duration, facts, lineWidth, marks, paragraph } from './text.ts';

const nameWidth = 20;

/** Shows phases as they end, and on a terminal which ones are running. */
export class BootView {
  readonly #output: Output;
  readonly #shown = new Set<string>();
  readonly #running = new Set<string>();
  readonly #problems = new Set<string>();

  constructor(output: Output) {
    this.#output = output;
  }

  show(event: MachineEvent): void {
    if (event.event === 'phase') this.#phase(event.data);
  }

  #phase(phase: BootPhase): void {
    const { name, outcome, ms, nodes } = phase;
    if (this.#shown.has(name)) return;
    if (outcome === 'running') this.#running.add(name);
    else {
      this.#running.delete(name);
      this.#shown.add(name);
      const head = `  ${marks[outcome]} ${name.padEnd(nameWidth)} ${duration(ms).padStart(8)}`;
      const about = clip(detail(phase), lineWidth - nameWidth - 15);
      this.#output.line(about === '' ? head : `${head}  ${paint.dim(about)}`);
      // A critical one ends the boot, and the command with it: it is told there.
      const problem = phase.critical || outcome === 'cancelled' ? undefined : nodes.find(({ error }) => error)?.error;
      if (problem && !this.#problems.has(problem.message)) {
        this.#problems.add(problem.message);
        this.#output.line(paragraph('    ', problem.message));
        if (problem.hint) this.#output.line(paragraph(`    ${paint.dim('→')} `, problem.hint));
      }
    }
    if (this.#running.size > 0) this.#output.transient(`  ${marks.running} ${[...this.#running].join(', ')}`);
  }
}

function detail({ nodes }: BootPhase): string {
  if (nodes.length === 1) return nodes[0]?.waitedFor ? `after ${nodes[0].waitedFor}` : '';
  const slowest = nodes.toSorted((a, b) => b.ms - a.ms)[0];
  return `${nodes.length} at once${slowest ? `, slowest ${slowest.id.replace(/:.*/, '')}` : ''}`;
}

/** One line that says what machine this is, and what it is about when it does not simply run. */
export function headline(
  { machineId, gpus, root, daemon, state }: MachineStatus,
  { width, more = [] }: { readonly width: number; readonly more?: readonly string[] },
): string {
  const mode = gpus[0]?.mode;
  const kind = mode === 'mock' ? 'simulated ' : '';
  const what = mode === 'cpu' ? 'no GPU' : `${gpus.length} ${kind}GPU${gpus.length === 1 ? '' : 's'}`;
  const doing = state === 'running' ? [] : [paint.yellow(state)];
  return facts([`${paint.bold('mgpu')} ${daemon.version}`, machineId, what, ...doing, root, ...more], width);
}
