import { mgpu } from './mgpu.ts';
import { pm2 } from './pm2.ts';
import { runit } from './runit.ts';
import { s6 } from './s6.ts';
import type { Absent, Supervisor } from './supervisor.ts';
import { supervisord } from './supervisord.ts';

/** mgpu and those it is measured beside. */
export async function supervisors(): Promise<(Supervisor | Absent)[]> {
  return [mgpu(), await pm2(), await supervisord(), await runit(), await s6()];
}
