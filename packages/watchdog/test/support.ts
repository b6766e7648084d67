import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Clock, type Logger, loggerTo } from '@mgpu/core';
import { type GpuSimulationInput, nvidiaSmiProgram } from '@mgpu/simulator';

/** A logger that keeps what it was told. */
export function keptLog(): { readonly log: Logger; readonly lines: readonly string[] } {
  const lines: string[] = [];
  return { log: loggerTo((level, message) => void lines.push(`${level}: ${message}`)), lines };
}

/** Waits for the real world, at most as long as a test may take. */
export async function eventually<T>(look: () => T | undefined | false, clock: Clock): Promise<T> {
  for (;;) {
    const answer = look();
    if (answer !== undefined && answer !== false) return answer;
    await clock.sleep(5);
  }
}

/** The simulated nvidia-smi in a folder, and what it is to simulate from now on. */
export function simulatedSmi(folder: string) {
  const file = join(folder, 'gpus.json');
  const set = (simulation: GpuSimulationInput) => writeFileSync(file, JSON.stringify(simulation));
  set({});
  return { program: nvidiaSmiProgram(), env: { ...process.env, MGPU_SIM_GPUS: `@${file}` }, set };
}

/** A program in a folder that stands in for nvidia-smi, as a shell script. */
export function scriptedSmi(folder: string, script: string): string {
  const path = join(folder, 'nvidia-smi');
  writeFileSync(path, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  return path;
}
