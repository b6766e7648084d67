import { existsSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type AnyServiceDefinition, coreErrors, type Layout, type Logger, systemClock } from '@mgpu/core';

const lookMs = 200;

/**
 * For looking at a machine in the middle of its boot: before each of these phases it waits until somebody removes a file of
 * `run`, which the log names. Throws `CORE_CONFIG_INVALID` for phases that there are not.
 */
export function bootPauses(
  phases: readonly string[],
  { definitions, layout, log }: { definitions: readonly AnyServiceDefinition[]; layout: Layout; log: Logger },
): (phase: string, signal: AbortSignal) => Promise<void> {
  const known = [...new Set(definitions.flatMap(({ phase }) => [phase, `${phase} setup`]))];
  const problems = phases
    .filter((phase) => !known.includes(phase))
    .map((phase) => `machine.pauseBefore: there is no phase "${phase}"; known are ${known.join(', ')}`);
  if (problems.length > 0)
    throw new coreErrors.ConfigInvalidError({ source: 'defaults, file and environment', problems });
  return async (phase, signal) => {
    if (!phases.includes(phase)) return;
    const file = join(layout.run, `paused-before-${phase.replaceAll(/[^A-Za-z0-9]+/g, '-')}`);
    await writeFile(file, 'The boot goes on when this file is removed.\n');
    log.warn(`the boot pauses before ${phase}: rm ${file} lets it go on`);
    try {
      while (existsSync(file)) await systemClock.sleep(lookMs, { signal });
    } finally {
      await rm(file, { force: true });
    }
  };
}
