import { readFileSync, writeFileSync } from 'node:fs';
import type { z } from 'zod/mini';
import { parseScript } from '../environment.ts';
import { PythonError } from './python.ts';
import { type Faults, faultsSchema } from './script.ts';

type FaultName = keyof Faults;
type JobFault = 'dieMidJob' | 'hang' | 'outOfMemory' | 'raise';

/** A place in a job: before its executed node number `node` (from 1), or at a step of that node. */
export interface Place {
  readonly node: number;
  readonly step?: number;
}

/** torch's exception when a GPU is full. */
export const outOfMemory = () => new PythonError('torch.OutOfMemoryError', 'Allocation on device ');

/** The faults in force, and how often each has struck since it was set. */
export class FaultPlan {
  #faults: Faults;
  readonly #schema: z.ZodMiniType<Faults>;
  #strikes = new Map<FaultName, number>();

  /** `schema`: the faults that this program knows. */
  constructor(faults: Faults, schema: z.ZodMiniType<Faults> = faultsSchema) {
    this.#faults = faults;
    this.#schema = schema;
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
    const faults = parseScript('faults', value, this.#schema);
    if (faults.dieAtStart !== undefined)
      throw new Error('faults: dieAtStart acts only at the start of the process, set it in MGPU_SIM');
    this.#faults = faults;
    this.#strikes = new Map();
    applyTermination(faults);
  }

  /** The fault if it is set and not used up; counts the strike. */
  strike<Name extends FaultName>(name: Name): Faults[Name] | undefined {
    const fault = this.#faults[name];
    if (fault === undefined || this.isUsedUp(name)) return undefined;
    const struck = this.#struck(name) + 1;
    this.#strikes.set(name, struck);
    const { countFile } = this.#limit(name);
    if (countFile !== undefined) writeFileSync(countFile, String(struck));
    return fault;
  }

  /** The same for a fault of jobs, if it is aimed at this job and place. */
  strikeAt<Name extends JobFault>(name: Name, job: object, place: Place): Faults[Name] | undefined {
    const fault: Faults[JobFault] = this.#faults[name];
    if (fault === undefined || !isAt(fault, place)) return undefined;
    if (fault.match !== undefined && !JSON.stringify(job).includes(fault.match)) return undefined;
    return this.strike(name);
  }

  isUsedUp(name: FaultName): boolean {
    const { times } = this.#limit(name);
    return times !== undefined && this.#struck(name) >= times;
  }

  #limit(name: FaultName): { times?: number; countFile?: string } {
    return (this.#faults[name] ?? {}) as { times?: number; countFile?: string };
  }

  /** Strikes of a fault that ends the process are counted in a file. */
  #struck(name: FaultName): number {
    const { countFile } = this.#limit(name);
    return countFile === undefined ? (this.#strikes.get(name) ?? 0) : readCount(countFile);
  }
}

function readCount(file: string): number {
  try {
    return Number(readFileSync(file, 'utf8'));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 0;
    throw error;
  }
}

const ignore = () => undefined;

/** Without a listener SIGTERM kills at once and cleans nothing up, as it does with Python. */
function applyTermination({ ignoreTerm }: Faults): void {
  process.off('SIGTERM', ignore);
  if (ignoreTerm) process.on('SIGTERM', ignore);
}

function isAt({ atNode, atStep }: { atNode?: number | undefined; atStep?: number | undefined }, place: Place): boolean {
  if (place.step === undefined) return atStep === undefined && place.node === (atNode ?? 1);
  return place.step === atStep && (atNode === undefined || place.node === atNode);
}
