import type { z } from 'zod/mini';
import { parseScript } from '../environment.ts';
import { PythonError } from '../python/values.ts';
import type { JobFaults } from './job-faults-schema.ts';
import { Strikes } from './strikes.ts';

type JobFault = 'dieMidJob' | 'hang' | 'outOfMemory' | 'raise';

/** A place in a job: before its executed node number `node` (from 1), or at a step of that node. */
export interface Place {
  readonly node: number;
  readonly step?: number;
}

/** torch's exception when a GPU is full. */
export const outOfMemory = () => new PythonError('torch.OutOfMemoryError', 'Allocation on device ');

/** The faults in force of a program that does jobs. */
export class FaultPlan<Faults extends JobFaults = JobFaults> extends Strikes<Faults> {
  readonly #schema: z.ZodMiniType<Faults>;

  /** `schema`: the faults that this program knows. */
  constructor(faults: Faults, schema: z.ZodMiniType<Faults>) {
    super(faults);
    this.#schema = schema;
    applyTermination(faults);
  }

  /** Replaces all faults and forgets the counts. Throws an Error that names what is wrong. */
  replace(value: unknown): void {
    const faults = parseScript('faults', value, this.#schema);
    if (faults.dieAtStart !== undefined)
      throw new Error('faults: dieAtStart acts only at the start of the process, set it in MGPU_SIM');
    this.set(faults);
    applyTermination(faults);
  }

  /** As `strike`, for a fault of jobs, if it is aimed at this job and place. */
  strikeAt<Name extends JobFault>(name: Name, job: object, place: Place): Faults[Name] | undefined {
    const fault: JobFaults[JobFault] = this.current[name];
    if (fault === undefined || !isAt(fault, place)) return undefined;
    if (fault.match !== undefined && !JSON.stringify(job).includes(fault.match)) return undefined;
    return this.strike(name);
  }
}

const ignore = () => undefined;

/** Without a listener SIGTERM kills at once and cleans nothing up, as it does with Python. */
function applyTermination({ ignoreTerm }: JobFaults): void {
  process.off('SIGTERM', ignore);
  if (ignoreTerm) process.on('SIGTERM', ignore);
}

function isAt({ atNode, atStep }: { atNode?: number | undefined; atStep?: number | undefined }, place: Place): boolean {
  if (place.step === undefined) return atStep === undefined && place.node === (atNode ?? 1);
  return place.step === atStep && (atNode === undefined || place.node === atNode);
}
