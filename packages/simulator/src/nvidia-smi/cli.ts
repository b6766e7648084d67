#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { parseJsonVariable } from '../environment.ts';
import { spoil } from './faults.ts';
import { answer } from './query.ts';
import { type GpuSimulation, gpuSimulationSchema } from './script.ts';

const LONGEST_MS = 2 ** 31 - 1;

function readSimulation(): GpuSimulation {
  const variable = process.env.MGPU_SIM_GPUS;
  try {
    const text = variable?.startsWith('@') ? readFileSync(variable.slice(1), 'utf8') : variable;
    return parseJsonVariable('MGPU_SIM_GPUS', text, gpuSimulationSchema);
  } catch (error) {
    process.stderr.write(`mgpu-sim-nvidia-smi: ${(error as Error).message}\n`);
    process.exit(2);
  }
}

const simulation = readSimulation();
const { hang, ignoreTerm, slowMs } = simulation.faults;
if (ignoreTerm) process.on('SIGTERM', () => undefined);
if (hang) {
  process.stderr.write('mgpu-sim-nvidia-smi: hangs as asked\n');
  await setTimeout(LONGEST_MS);
}
if (slowMs !== undefined) await setTimeout(slowMs);
const { code, text } = spoil(() => answer(process.argv.slice(2), simulation), simulation);
process.stdout.write(text);
process.exitCode = code;
