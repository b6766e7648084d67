import { parseScript } from '../environment.ts';
import { PythonError } from './python.ts';
import { type Faults, faultsSchema } from './script.ts';

type FaultName = keyof Faults;
type JobFault = 'dieMidJob' | 'hang' | 'outOfMemory' | 'raise';
const JOB_FAULTS: readonly JobFault[] = ['dieMidJob', 'hang', 'outOfMemory', 'raise'];

/** torch's exception when a GPU is full. */
export const outOfMemory = () => new PythonError('torch.OutOfMemoryError', 'Allocation on device ');

/** The faults in force, and how often each has struck since it was set. */
export class FaultPlan {
  #faults: Faults;
  #strikes = new Map<FaultName, number>();

  constructor(faults: Faults) {
    this.#faults = faults;
    applyTermination(faults);
  }

  get current(): Faults {
    return this.#faults;
  }

  get strikes(): Record<string, number> {
    return Object.fromEntries(this.#strikes);
  }

  /** Replaces all faults and forgets the counts. Throws an Error that names what is wrong. */
  replace(value: unknown): void {
    this.#faults = parseScript('faults', value, faultsSchema);
    this.#strikes = new Map();
    applyTermination(this.#faults);
  }

  /** The fault if it is set and not used up; counts the strike. */
  strike<Name extends FaultName>(name: Name): Faults[Name] | undefined {
    const fault = this.#faults[name];
    if (fault === undefined || this.isUsedUp(name)) return undefined;
    this.#strikes.set(name, (this.#strikes.get(name) ?? 0) + 1);
    return fault;
  }

  isUsedUp(name: FaultName): boolean {
    const times = (this.#faults[name] as { times?: number } | undefined)?.times;
    return times !== undefined && (this.#strikes.get(name) ?? 0) >= times;
  }

  /** What strikes a prompt here: before its executed node number `node` (from 1), or at `step` of the current one. */
  at(
    promptText: () => string,
    where: { node: number } | { step: number },
  ): { name: JobFault; fault: NonNullable<Faults[JobFault]> } | undefined {
    for (const name of JOB_FAULTS) {
      const fault = this.#faults[name];
      if (fault === undefined || !isPlace(fault, where)) continue;
      if (fault.match !== undefined && !promptText().includes(fault.match)) continue;
      if (this.strike(name) !== undefined) return { name, fault };
    }
    return undefined;
  }
}

const ignore = () => undefined;

/** Without a listener SIGTERM kills at once and cleans nothing up, as it does with Python. */
export function applyTermination({ ignoreTerm }: Faults): void {
  process.off('SIGTERM', ignore);
  if (ignoreTerm) process.on('SIGTERM', ignore);
}

function isPlace(
  fault: { atNode?: number | undefined; atStep?: number | undefined },
  where: { node: number } | { step: number },
): boolean {
  if ('step' in where) return fault.atStep === where.step;
  return fault.atStep === undefined && (fault.atNode ?? 1) === where.node;
}
