#!/usr/bin/env node
import { parseJsonVariable } from '../environment.ts';
import { FaultPlan } from '../faults/fault-plan.ts';
import { UsageError } from '../python/argparse.ts';
import { StartError } from '../python/start-error.ts';
import { usage } from './flags.ts';
import { readOptions } from './options.ts';
import { faultsSchema, type Simulation, simulationSchema } from './script.ts';
import { prepare, type SimulatedComfy } from './serve.ts';

/** Exit codes are CPython's: 2 for argparse, 1 for an exception. */
function fail(code: number, text: string): never {
  if (text !== '') process.stderr.write(`${text}\n`);
  process.exit(code);
}

function readSimulation(): Simulation {
  try {
    return parseJsonVariable('MGPU_SIM', process.env.MGPU_SIM, simulationSchema);
  } catch (error) {
    return fail(2, `mgpu-sim-comfyui: ${(error as Error).message}`);
  }
}

const args = process.argv.slice(2);
const simulation = readSimulation();
const { version } = simulation;
if (args.includes('-h') || args.includes('--help')) {
  process.stdout.write(`${usage(version)}\n`);
  process.exit(0);
}
const faults = new FaultPlan(simulation.faults, faultsSchema);
const death = faults.strike('dieAtStart');
if (death !== undefined) fail(death.exitCode ?? 1, death.message ?? 'RuntimeError: died at start as asked');

let comfy: SimulatedComfy | undefined;
process.on('SIGINT', () => {
  if (faults.current.ignoreInt) return;
  comfy?.interrupt();
  process.exit(0);
});
try {
  comfy = await prepare(
    readOptions(args, version, process.cwd()),
    simulation,
    faults,
    process.env.CUDA_VISIBLE_DEVICES,
  );
  await comfy?.listen();
} catch (error) {
  if (error instanceof UsageError) fail(2, `${usage(version)}\nmain.py: error: ${error.message}`);
  if (error instanceof StartError) fail(1, error.message);
  throw error;
}
