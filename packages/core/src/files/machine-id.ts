import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { z } from 'zod';
import { versionedFile } from './versioned.ts';

const schema = z.object({ id: z.string().min(1) });

/** The name a machine made up for itself at its first boot; makes one up and keeps it when there is none. */
export async function machineIdOf(stateDir: string): Promise<string> {
  const file = versionedFile(join(stateDir, 'machine.json'), 1, schema);
  const known = file.read();
  if (known) return known.id;
  const id = `mgpu-${randomBytes(4).toString('hex')}`;
  await file.write({ id });
  return id;
}
