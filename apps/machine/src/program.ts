import { Command, type CommanderError, InvalidArgumentError, Option } from 'commander';
import type { SetupFlags } from './commands/comfyui.ts';
import { exitCodes } from './commands/exit-codes.ts';
import type { ExportFlags } from './commands/export.ts';
import type { EvictFlags, PullFlags, SyncFlags } from './commands/models.ts';
import type { AddFlags, ApplyFlags } from './commands/nodes.ts';
import { loadEnvironmentFile } from './environment-file.ts';
import type { Invocation, MachineCommand } from './finish.ts';
import { version } from './version.ts';

interface GlobalOptions {
  readonly root?: string;
  readonly config?: string;
  readonly json?: boolean;
}

interface UpFlags {
  readonly mock?: number;
  readonly detach?: boolean;
  readonly onTerm: 'down' | 'keep';
  readonly keepFor?: number;
  readonly stoppedCode?: number;
}

const interrupted = new AbortController();
const impatient = new AbortController();
// A closed terminal ends a machine in the foreground as Ctrl-C does; nobody would be left to stop it.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    if (impatient.signal.aborted) process.exit(exitCodes.failed);
    if (interrupted.signal.aborted) impatient.abort();
    else interrupted.abort();
  });
}
// Nobody reads any more: that is no reason to drop what runs.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});

// A command line that cannot be understood is answered in the form it asks for all the same.
const asksForJson = process.argv.includes('--json');

const program = new Command('mgpu')
  .description('Turns a multi-GPU box into a reliable AI node')
  .version(version)
  .option('--root <dir>', 'folder of the machine (default: /workspace where it exists, else ~/.mgpu)')
  .option('--config <file>', 'configuration file (default: mgpu.config.{yaml,json,ts} here)')
  .option('--environment <file>', 'environment variables, a line each; those that are set win', loadEnvironment)
  .option('--json', 'print one JSON envelope { apiVersion, kind, data }')
  .configureHelp({ showGlobalOptions: true })
  .configureOutput({ outputError: () => {} }) // said below, like every other error
  .exitOverride();

program
  .command('up')
  .description('boot the machine and stay until Ctrl-C, or with --detach return when it has booted')
  .option('--mock <n>', 'that many simulated GPUs with simulated engines', positive)
  .option('--detach', 'leave the daemon in the background')
  .addOption(
    new Option('--on-term <what>', 'on SIGTERM or Ctrl-C stop everything, or keep it running for the next daemon')
      .choices(['down', 'keep'])
      .default('down'),
  )
  .option('--keep-for <seconds>', 'with --on-term keep: stop everything when no daemon follows in that time', positive)
  .option('--stopped-code <n>', 'exit code after `mgpu down`, for supervisors that restart what ends with 0', positive)
  .action(async (options: UpFlags) => {
    const { onTerm, keepFor, stoppedCode } = options;
    if (options.detach && (keepFor ?? stoppedCode) !== undefined)
      return program.error('--keep-for and --stopped-code are for a daemon in the foreground');
    if (keepFor !== undefined && onTerm !== 'keep') return program.error('--keep-for needs --on-term keep');
    if (options.detach) {
      const { detach, finish } = await import('#ask');
      await finish((context) => detach(context, onTerm), invocation(options));
    } else {
      const { up } = await import('./commands/up.ts');
      const keepForMs = keepFor === undefined ? undefined : keepFor * 1_000;
      await finish((context) => up(context, { onTerm, keepForMs, stoppedCode }), options);
    }
  });

program
  .command('down')
  .description('stop everything')
  .option('--force', 'kill at once instead of waiting for graceful ends')
  .option('--if-abandoned <seconds>', 'only what a daemon has left, when no other follows in that time', positive)
  .action(async ({ force = false, ifAbandoned }: { force?: boolean; ifAbandoned?: number }) => {
    const { down, downIfAbandoned } = await import('./commands/down.ts');
    await finish((context) =>
      ifAbandoned === undefined
        ? down(context, { force })
        : downIfAbandoned(context, { force, afterMs: ifAbandoned * 1_000 }),
    );
  });

program
  .command('status')
  .description('how the machine is')
  .action(async () => {
    const { status, finish } = await import('#ask');
    await finish(status, invocation());
  });

program
  .command('phases')
  .description('the boot under way, or the last one: each phase with its time and its outcome')
  .action(async () => finish((await import('./commands/phases.ts')).phases));

program
  .command('why')
  .description('what went wrong with an instance, a GPU or the machine, and what was done about it')
  .argument('<subject>', 'an instance such as comfyui_gpu0, or gpu:0, or machine')
  .action(async (subject: string) => {
    const { why } = await import('./commands/why.ts');
    await finish((context) => why(context, subject));
  });

program
  .command('run')
  .description('send a ComfyUI workflow (API format) through the queue and wait for its files')
  .argument('<workflow.json>')
  .option('--watch', 'show what happens')
  .option('--out <dir>', 'copy the files there')
  .option('--timeout <seconds>', 'give up after that long', positive)
  .action(
    async (path: string, { watch = false, out, timeout }: { watch?: boolean; out?: string; timeout?: number }) => {
      const { run } = await import('./commands/run.ts');
      const limit = timeout === undefined ? {} : { timeoutMs: timeout * 1_000 };
      await finish((context) => run(context, path, { watch, ...(out === undefined ? {} : { out }), ...limit }));
    },
  );

const comfyui = program.command('comfyui').description('ComfyUI on this machine');
comfyui
  .command('setup')
  .description('install it, or bring it to what the configuration asks for, instance by instance')
  .option('--repository <url>', 'clone from there')
  .option('--ref <ref>', 'branch, tag or commit')
  .addOption(new Option('--extra <name...>', 'accelerators').choices(['xformers', 'flash-attention', 'sage-attention']))
  .option('--update', 'look the branch or tag up again')
  .action(async (flags: SetupFlags) => {
    const { comfyuiSetup } = await import('./commands/comfyui.ts');
    await finish((context) => comfyuiSetup(context, flags));
  });
const generations = comfyui
  .command('generations')
  .description('versions of ComfyUI, its packages and its custom nodes');
generations
  .command('ls', { isDefault: true })
  .description('those there are, and which one is in force')
  .action(async () => finish((await import('./commands/comfyui.ts')).generationsLs));
generations
  .command('diff')
  .description('what changes from one to another')
  .argument('<from>', 'its id or number')
  .argument('[to]', 'default: the one in force')
  .action(async (from: string, to?: string) => {
    const { generationsDiff } = await import('./commands/comfyui.ts');
    await finish((context) => generationsDiff(context, from, to));
  });
generations
  .command('switch')
  .description('bring one to all instances, one after the other; any failure brings all back')
  .argument('<id>', 'its id or number')
  .action(async (id: string) => {
    const { generationsSwitch } = await import('./commands/comfyui.ts');
    await finish((context) => generationsSwitch(context, id));
  });
generations
  .command('rollback')
  .description('bring the one before to all instances at once')
  .action(async () => finish((await import('./commands/comfyui.ts')).generationsRollback));
generations
  .command('prune')
  .description('remove old ones that are not in use')
  .option('--keep <n>', 'keep the newest so many', positive, 3)
  .action(async ({ keep }: { keep: number }) => {
    const { generationsPrune } = await import('./commands/comfyui.ts');
    await finish((context) => generationsPrune(context, keep));
  });

const nodes = program.command('nodes').description("ComfyUI's custom nodes, as a list says (config_nodes.json)");
const applyOptions = (command: Command) =>
  command
    .option('--locked [file]', 'to the commits and packages of the lock, or of one brought along; not to the newest')
    .option('--force', 'stash edits that are in the way')
    .option('--prune', 'remove packs that an apply brought and the list does not have any more')
    .option('--retry', 'try again what failed before and would fail again as far as is known');
applyOptions(nodes.command('plan').description('what an apply would do; changes nothing')).action(
  async (flags: ApplyFlags) => {
    const { nodesPlan } = await import('./commands/nodes.ts');
    await finish((context) => nodesPlan(context, flags));
  },
);
applyOptions(
  nodes
    .command('apply')
    .description('bring the packs to what the list says, instance by instance; exit 4 when some failed'),
).action(async (flags: ApplyFlags) => {
  const { nodesApply } = await import('./commands/nodes.ts');
  await finish((context) => nodesApply(context, flags));
});
nodes
  .command('ls', { isDefault: true })
  .description('the packs that are there')
  .action(async () => finish((await import('./commands/nodes.ts')).nodesLs));
nodes
  .command('lock')
  .description('print the lock: commits and packages as they are')
  .action(async () => finish((await import('./commands/nodes.ts')).nodesLock));
nodes
  .command('add')
  .description('add a pack to the list and to the machine; to neither when it fails')
  .argument('<url>')
  .option('--name <name>', 'its folder (default: from the URL)')
  .option('--branch <branch>')
  .option('--commit <commit>')
  .option('--recursive', 'with submodules')
  .option('--no-requirements', 'without its requirements.txt')
  .option('--install-script', 'run its install.py')
  .action(async (url: string, flags: AddFlags) => {
    const { nodesAdd } = await import('./commands/nodes.ts');
    await finish((context) => nodesAdd(context, url, flags));
  });
nodes
  .command('update')
  .description('bring packs to the newest commit that their entry allows')
  .argument('[name...]', 'default: all')
  .action(async (names: string[]) => {
    const { nodesUpdate } = await import('./commands/nodes.ts');
    await finish((context) => nodesUpdate(context, names));
  });
nodes
  .command('remove')
  .description('take packs out of the list and off the machine')
  .argument('<name...>')
  .action(async (names: string[]) => {
    const { nodesRemove } = await import('./commands/nodes.ts');
    await finish((context) => nodesRemove(context, names));
  });
for (const verb of ['enable', 'disable'] as const) {
  nodes
    .command(verb)
    .description(verb === 'enable' ? 'put packs back into their place' : 'put packs aside')
    .argument('<name...>')
    .action(async (names: string[]) => {
      const { nodesSetEnabled } = await import('./commands/nodes.ts');
      await finish((context) => nodesSetEnabled(context, names, verb === 'enable'));
    });
}
nodes
  .command('restore')
  .description('bring the packs to a snapshot of ComfyUI-Manager; exit 1 with what differs')
  .argument('<snapshot>')
  .action(async (path: string) => {
    const { nodesRestore } = await import('./commands/nodes.ts');
    await finish((context) => nodesRestore(context, path));
  });
nodes
  .command('rollback')
  .description('bring back the generation before')
  .action(async () => finish((await import('./commands/comfyui.ts')).generationsRollback));

const models = program.command('models').description('models, as a list and a bucket say (models.yaml)');
models
  .command('ls', { isDefault: true })
  .description('the models that are there, on their way, or missing')
  .action(async () => finish((await import('./commands/models.ts')).modelsLs));
models
  .command('pull')
  .description('bring models: those of the list that are missing, or addresses; exit 4 when some failed')
  .argument('[model...]', 'names on the list, or https, hf://, civitai://, s3://, gs://, az://')
  .option('--to <path>', 'where an address comes to, such as loras/name.safetensors or loras/')
  .option('--type <type>', 'kind of model, where there is no path: checkpoint, lora, vae, …')
  .option('--sha256 <digits>', 'checksum of an address')
  .option('--size <bytes>', 'size of an address', positive)
  .option('--force', 'bring what is there anew')
  .action(async (wanted: string[], flags: PullFlags) => {
    const { modelsPull } = await import('./commands/models.ts');
    await finish((context) => modelsPull(context, wanted, flags));
  });
models
  .command('sync')
  .description('what each start does: folders, the list, the bucket when it is due; exit 4 when some failed')
  .option('--check-only', 'only say what would be brought')
  .option('--force', 'look at the bucket however young the last sync is')
  .option('--specific-dirs <names>', 'only these folders of the bucket, separated by commas')
  .option('--max-age <days>', 'how old the last sync may be', days)
  .addOption(new Option('--provider <name>', 'whose bucket').choices(['aws', 'google', 'azure']))
  .option('--bucket <name>', 'which bucket or container')
  .option('--test', 'the test container, and test models of the list')
  .action(async (flags: SyncFlags) => {
    const { modelsSync } = await import('./commands/models.ts');
    await finish((context) => modelsSync(context, flags));
  });
models
  .command('verify')
  .description('read every byte and compare it with what it should be; exit 4 when some differ')
  .argument('[name...]', 'default: all')
  .action(async (names: string[]) => {
    const { modelsVerify } = await import('./commands/models.ts');
    await finish((context) => modelsVerify(context, names));
  });
models
  .command('evict')
  .description('remove the least recently used models that mgpu brought; exit 4 when that is not enough')
  .option('--free <size>', 'at least so much, such as 50G', byteSize)
  .option('--to <size>', 'until all models together take no more', byteSize)
  .option('--listed', 'also those on the list; the next start brings them again')
  .option('--dry-run', 'only say what would go')
  .action(async (flags: EvictFlags) => {
    const { modelsEvict } = await import('./commands/models.ts');
    await finish((context) => modelsEvict(context, flags));
  });
models
  .command('du')
  .description('the space that models take, and which are used least')
  .action(async () => finish((await import('./commands/models.ts')).modelsDu));

const a1111 = program.command('a1111').description('Automatic1111 on this machine');
a1111
  .command('setup')
  .description('install it, or bring it to what the configuration asks for; instances take it when they are restarted')
  .option('--update', 'look the branch or tag up again')
  .action(async (flags: { update?: boolean }) => {
    const { a1111Setup } = await import('./commands/a1111.ts');
    await finish((context) => a1111Setup(context, flags));
  });
a1111
  .command('models', { isDefault: true })
  .description('the checkpoints there are, and who has which one loaded')
  .action(async () => finish((await import('./commands/a1111.ts')).a1111Models));
a1111
  .command('load')
  .description('load a checkpoint on all instances that run; exit 4 when some failed')
  .argument('<model>', "its title, its file's name, or its hash")
  .option('--gpu <n>', 'only on this GPU', gpuIndex)
  .action(async (model: string, flags: { gpu?: number }) => {
    const { a1111Load } = await import('./commands/a1111.ts');
    await finish((context) => a1111Load(context, model, flags));
  });

const ollama = program.command('ollama').description("the models of this machine's Ollama");
ollama
  .command('ls', { isDefault: true })
  .description('models on the disk')
  .action(async () => finish((await import('./commands/ollama.ts')).ollamaLs));
ollama
  .command('ps')
  .description('models in memory')
  .action(async () => finish((await import('./commands/ollama.ts')).ollamaPs));
ollama
  .command('pull')
  .description('bring a model from the registry; an interrupted pull is gone on with')
  .argument('<model>')
  .action(async (model: string) => {
    const { ollamaPull } = await import('./commands/ollama.ts');
    await finish((context) => ollamaPull(context, model));
  });
ollama
  .command('rm')
  .description('remove models from the disk')
  .argument('<model...>')
  .action(async (models: string[]) => {
    const { ollamaRm } = await import('./commands/ollama.ts');
    await finish((context) => ollamaRm(context, models));
  });

program
  .command('doctor')
  .description('look for what would keep the machine from working')
  .option('--mock <n>', 'as for up', positive)
  .action(async (options: { mock?: number }) => {
    const { doctor } = await import('./commands/doctor.ts');
    await finish(doctor, options);
  });

program
  .command('demo')
  .description('boot everything on two simulated GPUs, send each engine a job, shut down')
  .option('--keep', 'stay up and print the URLs')
  .action(async ({ keep = false }: { keep?: boolean }) => {
    const { demo } = await import('./commands/demo.ts');
    await finish((context) => demo(context, { keep }));
  });

const exports = program
  .command('export')
  .description('files for whoever is to run the daemon; nothing secret is in them');
const exportOptions = (command: Command, what: string) =>
  command.option('--out <path>', `${what} to write instead of printing`).option('--force', 'write over what is there');
exportOptions(
  exports.command('pm2').description('an ecosystem file for PM2'),
  'the file (*.config.cjs), or its folder,',
).action(async (flags: ExportFlags) => {
  const { exportPm2 } = await import('./commands/export.ts');
  await finish((context) => exportPm2(context, flags));
});
exportOptions(exports.command('systemd').description('a unit of the system manager'), 'the file, or its folder,')
  .option('--user <name>', 'who the daemon runs as (default: you)')
  .action(async (flags: ExportFlags & { user?: string }) => {
    const { exportSystemd } = await import('./commands/export.ts');
    await finish((context) => exportSystemd(context, flags));
  });
exportOptions(exports.command('docker').description('a Dockerfile and a compose file'), 'the folder').action(
  async (flags: ExportFlags) => {
    const { exportDocker } = await import('./commands/export.ts');
    await finish((context) => exportDocker(context, flags));
  },
);

const config = program.command('config').description('the configuration');
config
  .command('show')
  .description('the configuration in force, secrets left out')
  .action(async () => finish((await import('./commands/config.ts')).configShow));
config
  .command('validate')
  .description('every problem of the configuration')
  .action(async () => finish((await import('./commands/config.ts')).configValidate));
config
  .command('schema')
  .description('JSON Schema for editors')
  .action(async () => finish((await import('./commands/config.ts')).configSchema));
config
  .command('environment')
  .description('the environment variables that are understood')
  .action(async () => finish((await import('./commands/config.ts')).configEnvironment));

function positive(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError('it must be a whole number from 1');
  return value;
}

function gpuIndex(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('it must be the index of a GPU such as 0');
  return value;
}

function loadEnvironment(file: string): string {
  try {
    loadEnvironmentFile(file, process.env);
  } catch (error) {
    throw new InvalidArgumentError(`it cannot be read: ${(error as Error).message}`);
  }
  return file;
}

function days(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !(value >= 0)) throw new InvalidArgumentError('it must be a number of days from 0');
  return value;
}

/** `50G`, `1.5TB`, `200GiB`, or bytes. */
function byteSize(text: string): number {
  const [, number, unit = '', binary] = /^(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?$/i.exec(text.trim()) ?? [];
  if (number === undefined) throw new InvalidArgumentError('it must be a size such as 50G or 200GiB');
  return Math.round(Number(number) * (binary ? 1_024 : 1_000) ** ['', 'k', 'm', 'g', 't'].indexOf(unit.toLowerCase()));
}

function invocation({ mock }: { mock?: number } = {}): Invocation {
  const { root, config: file, json = false } = program.opts<GlobalOptions>();
  const settings = { config: file, root, mock, env: process.env, cwd: process.cwd() };
  return { json, settings, interrupted: interrupted.signal, impatient: impatient.signal };
}

/** Runs a command that is not among those of `#ask`. */
async function finish(command: MachineCommand, local: { mock?: number } = {}): Promise<void> {
  const { finish } = await import('./finish.ts');
  await finish(command, invocation(local));
}

try {
  await program.parseAsync();
} catch (error) {
  const { exitCode, message, code } = error as CommanderError;
  // Help and version are no failure; help that nobody asked for says enough, to people.
  if (exitCode !== 0 && (asksForJson || code !== 'commander.help')) {
    const problem = code === 'commander.help' ? 'a command is missing' : message.replace(/^error: /, '');
    const { refuse } = await import('#ask');
    refuse(problem, asksForJson);
  }
  process.exitCode = exitCode === 0 ? exitCodes.done : exitCodes.usage;
}
