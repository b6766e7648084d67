import { Command, type CommanderError } from 'commander';
import { exitCodes } from './commands/exit-codes.ts';
import { addA1111 } from './program/a1111.ts';
import { addComfyui } from './program/comfyui.ts';
import { addCompletion } from './program/completion.ts';
import { addConfig } from './program/config.ts';
import { showExamples } from './program/examples.ts';
import { addExport } from './program/export.ts';
import { addJobs } from './program/jobs.ts';
import { addLogs } from './program/logs.ts';
import { addMachine } from './program/machine.ts';
import { addModels } from './program/models.ts';
import { addNodes } from './program/nodes.ts';
import { addOllama } from './program/ollama.ts';
import { environmentFile } from './program/options.ts';
import { addReference } from './program/reference.ts';
import { createRunner } from './program/runner.ts';
import { addService, addServices, isServiceVerb } from './program/services.ts';
import { addToken } from './program/token.ts';
import { refuseUnknownSubcommands } from './program/unknown-subcommand.ts';
import { addVerbs } from './program/verbs.ts';
import { version } from './version.ts';

// Nobody reads any more: that is no reason to drop what runs.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});

// A command line that cannot be understood is answered in the form it asks for all the same.
const asksForJson = process.argv.includes('--json');

const program = new Command('mgpu')
  .description('Turns a multi-GPU box into a reliable AI node')
  .version(version)
  .option('--root <dir>', 'folder of the machine (default: /workspace where it exists, else ~/.mgpu)')
  .option('--config <file>', 'configuration file (default: mgpu.config.{yaml,json,ts} here)')
  .option('--environment <file>', 'environment variables, a line each; those that are set win', environmentFile)
  .option('--json', 'print one JSON envelope { apiVersion, kind, data }')
  .configureHelp({ showGlobalOptions: true })
  .configureOutput({ outputError: () => {} }) // said below, like every other error
  .exitOverride();

const runner = createRunner(program);
program.commandsGroup('Machine:');
addMachine(program, runner);
program.commandsGroup('Instances, by selectors:');
addVerbs(program, runner);
addLogs(program, runner);
program.commandsGroup('Jobs:');
addJobs(program, runner);
program.commandsGroup('Services, each with start, stop, restart, status, logs, setup and count:');
addComfyui(program, runner);
addNodes(program, runner);
addModels(program, runner);
addA1111(program, runner);
addOllama(program, runner);
addServices(program, runner);
program.commandsGroup('Around it:');
addExport(program, runner);
addConfig(program, runner);
addToken(program, runner);
addCompletion(program, runner);
addReference(program, runner);
showExamples(program);
refuseUnknownSubcommands(program);

/** A command that nobody knows may be a service of a plugin: the daemon knows those. */
async function parse(): Promise<void> {
  try {
    await program.parseAsync();
  } catch (error) {
    const [service = '', verb] = program.args;
    if ((error as CommanderError).code !== 'commander.unknownCommand' || !isServiceVerb(verb)) throw error;
    addService(program, runner, service);
    await program.parseAsync();
  }
}

try {
  await parse();
} catch (error) {
  const { exitCode, message, code } = error as CommanderError;
  // Help and version are no failure; help that nobody asked for says enough, to people.
  if (exitCode !== 0 && (asksForJson || code !== 'commander.help')) {
    const problem =
      code === 'commander.help' ? 'a command is missing' : message.replace(/^error: /, '').replace('\n', ' ');
    const { refuse } = await import('#ask');
    refuse(problem, asksForJson);
  }
  process.exitCode = exitCode === 0 ? exitCodes.done : exitCodes.usage;
}
