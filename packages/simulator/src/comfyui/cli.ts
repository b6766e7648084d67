#!/usr/bin/env node
import { readFileSync, writeFileSync } from 'node:fs';
import { parseJsonVariable } from '../environment.ts';
import { UsageError, usage } from './arguments.ts';
import { applyTermination } from './faults.ts';
import { readOptions } from './options.ts';
import { type Faults, type Simulation, simulationSchema } from './script.ts';
import { prepare } from './serve.ts';
import { StartError } from './startup.ts';

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

/** True when this start is one of those that shall fail; with `times`, earlier starts are counted in a file. */
function diesNow({ times, countFile }: NonNullable<Faults['dieAtStart']>): boolean {
  if (times === undefined || countFile === undefined) return true;
  let starts = 0;
  try {
    starts = Number(readFileSync(countFile, 'utf8'));
  } catch {
    // The first start finds no file.
  }
  writeFileSync(countFile, String(starts + 1));
  return starts < times;
}

const args = process.argv.slice(2);
if (args.includes('-h') || args.includes('--help')) {
  process.stdout.write(`${usage()}\n`);
  process.exit(0);
}
const simulation = readSimulation();
const { dieAtStart } = simulation.faults;
applyTermination(simulation.faults);
if (dieAtStart !== undefined && diesNow(dieAtStart)) {
  fail(dieAtStart.exitCode ?? 1, dieAtStart.message ?? 'RuntimeError: died at start as asked');
}
try {
  const options = readOptions(args, simulation.version, process.cwd());
  const comfy = prepare(options, simulation, process.env.CUDA_VISIBLE_DEVICES);
  process.on('SIGINT', () => {
    comfy?.interrupt();
    process.exit(0);
  });
  await comfy?.listen();
} catch (error) {
  if (error instanceof UsageError) fail(2, `${usage()}\nmain.py: error: ${error.message}`);
  if (error instanceof StartError) fail(1, error.message);
  throw error;
}
