import { writeSync } from 'node:fs';
import type { FaultPlan } from './faults.ts';
import { outOfMemory } from './faults.ts';
import { PythonError } from './python.ts';
import type { QueueItem } from './queue.ts';
import type { Faults } from './script.ts';

/** Lets the fault that is due at this place of a job happen, if there is one. */
export async function strikeJob(
  plan: FaultPlan,
  item: QueueItem,
  where: { node: number } | { step: number },
): Promise<void> {
  const struck = plan.at(() => JSON.stringify(item.prompt), where);
  if (struck === undefined) return;
  if (struck.name === 'outOfMemory') throw outOfMemory();
  if (struck.name === 'raise') {
    const { type = 'RuntimeError', message = 'raised as asked' } = struck.fault as NonNullable<Faults['raise']>;
    throw new PythonError(type, message);
  }
  if (struck.name === 'dieMidJob') die(struck.fault as NonNullable<Faults['dieMidJob']>);
  if ((struck.fault as NonNullable<Faults['hang']>).what === 'process')
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  await new Promise<never>(() => undefined);
}

function die({ message, signal, exitCode = 1 }: NonNullable<Faults['dieMidJob']>): void {
  if (message !== undefined) writeSync(2, `${message}\n`);
  if (signal === undefined) process.exit(exitCode);
  process.kill(process.pid, signal);
}
