import { PythonError } from '../python/values.ts';
import { type FaultPlan, outOfMemory, type Place } from './fault-plan.ts';
import { die, stopForEver } from './process-end.ts';

/** Lets the fault that is due at this place of a job happen, if there is one. `prompt`: what `match` is looked for in. */
export async function strikeJob(plan: FaultPlan, { prompt }: { readonly prompt: object }, place: Place): Promise<void> {
  const death = plan.strikeAt('dieMidJob', prompt, place);
  if (death !== undefined) die(death);
  const hang = plan.strikeAt('hang', prompt, place);
  // As a C extension that holds the GIL does.
  if (hang?.what === 'process') stopForEver();
  if (hang !== undefined) await new Promise<never>(() => undefined);
  if (plan.strikeAt('outOfMemory', prompt, place) !== undefined) throw outOfMemory();
  const raised = plan.strikeAt('raise', prompt, place);
  if (raised !== undefined) throw new PythonError(raised.type ?? 'RuntimeError', raised.message ?? 'raised as asked');
}
