#!/usr/bin/env node
import { setTimeout } from 'node:timers/promises';
import { parseJsonVariable } from '../environment.ts';
import { Engine } from './engine.ts';
import { type Environment, readEnvironment } from './environment.ts';
import { FaultPlan } from './faults.ts';
import { ensureIdentity } from './identity.ts';
import { type OllamaSimulation, simulationSchema } from './script.ts';
import { createOllamaServer } from './server.ts';

const usage =
  'Usage:\n  ollama serve\n\nFlags:\n  -h, --help      help for ollama\n  -v, --version   Show version information\n';

function fail(code: number, text: string): never {
  process.stderr.write(`${text}\n`);
  process.exit(code);
}

function log(level: 'INFO' | 'WARN', message: string): void {
  process.stderr.write(
    `time=${new Date().toISOString()} level=${level} source=routes.go msg=${JSON.stringify(message)}\n`,
  );
}

function readSimulation(): OllamaSimulation {
  try {
    return parseJsonVariable('MGPU_SIM_OLLAMA', process.env.MGPU_SIM_OLLAMA, simulationSchema);
  } catch (error) {
    return fail(2, `mgpu-sim-ollama: ${(error as Error).message}`);
  }
}

function environmentOrFail(): Environment {
  try {
    return readEnvironment(process.env);
  } catch (error) {
    return fail(1, `Error: ${(error as Error).message}`);
  }
}

function serve(simulation: OllamaSimulation): void {
  const faults = new FaultPlan(simulation.faults);
  const death = faults.strike('dieAtStart');
  if (death !== undefined) fail(death.exitCode ?? 1, death.message ?? 'Error: died at start as asked');
  const environment = environmentOrFail();
  const { host, port, home } = environment;
  ensureIdentity(home);
  const engine = new Engine(environment, simulation, faults);
  const ready = Promise.withResolvers<void>();
  const server = createOllamaServer(engine, ready.promise);
  for (const [signal, ignored] of [
    ['SIGTERM', 'ignoreTerm'],
    ['SIGINT', 'ignoreInt'],
  ] as const)
    process.on(signal, () => {
      if (!faults.current[ignored]) process.exit(0);
    });
  server.on('error', ({ code, message }: NodeJS.ErrnoException) => {
    const reason = code === 'EADDRINUSE' ? 'bind: address already in use' : message;
    fail(1, `Error: listen tcp ${host}:${port}: ${reason}`);
  });
  server.listen({ host, port }, () => void begin(engine).then(ready.resolve, ready.reject));
}

/** What the server does between the bound port and the first answer. */
async function begin({ environment, simulation, store }: Engine): Promise<void> {
  const { host, port, shown, prune } = environment;
  log('INFO', `server config env=${JSON.stringify(shown)}`);
  store.prepare();
  if (prune) log('INFO', `total unused blobs removed: ${store.prune()}`);
  log('INFO', `Listening on ${host}:${port} (version ${simulation.version})`);
  log('INFO', 'discovering available GPUs...');
  await setTimeout(simulation.startMs);
  log('INFO', `inference compute id=${process.env.CUDA_VISIBLE_DEVICES || 'cpu'}`);
}

const [command] = process.argv.slice(2);
const simulation = readSimulation();
if (command === 'serve' || command === 'start') serve(simulation);
else if (command === '-v' || command === '--version') {
  process.stdout.write(
    `Warning: could not connect to a running Ollama instance\nWarning: client version is ${simulation.version}\n`,
  );
} else if (command === undefined || command === '-h' || command === '--help') process.stdout.write(usage);
else fail(1, `Error: unknown command "${command}" for "ollama"`);
