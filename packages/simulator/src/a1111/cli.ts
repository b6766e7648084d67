#!/usr/bin/env node
import { parseJsonVariable } from '../environment.ts';
import { FaultPlan } from '../faults/fault-plan.ts';
import { jobFaultsSchema } from '../faults/job-faults-schema.ts';
import { UsageError, usageOf } from '../python/argparse.ts';
import { StartError } from '../python/start-error.ts';
import { flagsOf } from './flags.ts';
import { readOptions } from './options.ts';
import { type A1111Simulation, a1111SimulationSchema } from './script.ts';
import { serve } from './serve.ts';
import { Webui } from './webui.ts';

/** Exit codes are CPython's: 2 for argparse, 1 for an exception. */
function fail(code: number, text: string): never {
  if (text !== '') process.stderr.write(`${text}\n`);
  process.exit(code);
}

function readSimulation(): A1111Simulation {
  try {
    return parseJsonVariable('MGPU_SIM_A1111', process.env.MGPU_SIM_A1111, a1111SimulationSchema);
  } catch (error) {
    return fail(2, `mgpu-sim-a1111: ${(error as Error).message}`);
  }
}

const args = process.argv.slice(2);
const simulation = readSimulation();
const usage = () => usageOf('launch.py', flagsOf(simulation.flavour));
if (args.includes('-h') || args.includes('--help')) {
  process.stdout.write(`${usage()}\n`);
  process.exit(0);
}
const faults = new FaultPlan(simulation.faults, jobFaultsSchema);
const death = faults.strike('dieAtStart');
if (death !== undefined) fail(death.exitCode ?? 1, death.message ?? 'RuntimeError: died at start as asked');

// Until it listens; then as its server does.
process.on('SIGINT', () => {
  if (!faults.current.ignoreInt) process.exit(0);
});
try {
  await serve(new Webui(readOptions(args, simulation, process.cwd()), simulation, faults), args);
} catch (error) {
  if (error instanceof UsageError) fail(2, `${usage()}\nlaunch.py: error: ${error.message}`);
  if (error instanceof StartError) fail(1, error.message);
  throw error;
}
