import { parseScript } from '../environment.ts';
import { die, stopForEver } from '../faults/process-end.ts';
import { Strikes } from '../faults/strikes.ts';
import { ApiError } from './api-error.ts';
import { type Faults, faultsSchema } from './script.ts';

type JobFault = 'dieMidJob' | 'hang' | 'outOfMemory' | 'raise' | 'breakPull';

/** The faults of the simulated Ollama. */
export class FaultPlan extends Strikes<Faults> {
  /** Replaces all faults and forgets the counts. Throws an Error that names what is wrong. */
  replace(value: unknown): void {
    const faults = parseScript('faults', value, faultsSchema);
    if (faults.dieAtStart !== undefined)
      throw new Error('faults: dieAtStart acts only at the start of the process, set it in MGPU_SIM_OLLAMA');
    this.set(faults);
  }

  /** As `strike`, if the fault is aimed at this request. */
  strikeRequest<Name extends JobFault>(name: Name, body: unknown): Faults[Name] | undefined {
    const fault: Faults[JobFault] = this.current[name];
    if (fault?.match !== undefined && !JSON.stringify(body).includes(fault.match)) return undefined;
    return this.strike(name);
  }

  /** Lets the fault that is due before this token happen, if there is one. Throws what the runner says. */
  async strikeToken(body: unknown, token: number, signal: AbortSignal): Promise<void> {
    const isDue = (name: 'dieMidJob' | 'hang' | 'raise') => (this.current[name]?.atToken ?? 1) === token;
    const death = isDue('dieMidJob') ? this.strikeRequest('dieMidJob', body) : undefined;
    if (death !== undefined) die(death);
    const hang = isDue('hang') ? this.strikeRequest('hang', body) : undefined;
    if (hang?.what === 'process') stopForEver();
    if (hang !== undefined) await aborted(signal);
    const raised = isDue('raise') ? this.strikeRequest('raise', body) : undefined;
    if (raised !== undefined)
      throw new ApiError(500, raised.message ?? 'llama runner process has terminated: exit status 2');
  }
}

const aborted = (signal: AbortSignal) =>
  new Promise<never>((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
