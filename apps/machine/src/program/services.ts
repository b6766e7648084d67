import type { Command } from 'commander';
import { withExamples } from './examples.ts';
import { addServiceLogs } from './logs.ts';
import type { Runner } from './runner.ts';
import { withoutDaemon } from './without-daemon.ts';

interface Named {
  readonly summary: string;
  /** Default: the name. */
  readonly kind?: string;
  /** Whether its examples name one. */
  readonly perGpu?: boolean;
}

/** Services that are commands, by name. */
const services: Readonly<Record<string, Named>> = {
  comfyui: { summary: 'ComfyUI on this machine', perGpu: true },
  a1111: { summary: 'Automatic1111 on this machine', perGpu: true },
  worker: { summary: 'the workers, which take jobs from the queue', perGpu: true },
  ollama: { summary: "the models of this machine's Ollama" },
  nginx: { summary: 'the proxy in front of the engines' },
  redis: { summary: 'the queue of jobs' },
  watchdog: { summary: 'what looks after everything else' },
  workflows: { summary: 'workflows that are kept in step with a repository' },
  ssh: { summary: "the machine's own SSH server" },
  nodes: { summary: "ComfyUI's custom nodes", kind: 'custom-nodes' },
  models: { summary: 'models of the list and the bucket' },
};

/** Those that every service has in the same form: beside them are its own. */
export const commonVerbs = new WeakSet<Command>();

export const serviceVerbs: readonly string[] = ['start', 'stop', 'restart', 'status', 'logs', 'setup', 'count'];

/** Whether a command line such as `mgpu gadget start 0` may be about a service of a plugin. */
export const isServiceVerb = (word: string | undefined): boolean => word !== undefined && serviceVerbs.includes(word);

/** What can be done to each service of ours, beside what is there for it already. */
export function addServices(program: Command, runner: Runner): void {
  for (const [name, { summary, kind = name, perGpu = false }] of Object.entries(services)) {
    const there = program.commands.find((each) => each.name() === name);
    addVerbsOf(there ?? program.command(name).description(summary), runner, { kind, isOurs: true, perGpu });
  }
}

/** The same for a service that the daemon may know. */
export function addService(program: Command, runner: Runner, kind: string): void {
  addVerbsOf(program.command(kind, { hidden: true }), runner, { kind, isOurs: false, perGpu: true });
}

function addVerbsOf(
  service: Command,
  runner: Runner,
  { kind, isOurs, perGpu }: { readonly kind: string; readonly isOurs: boolean; readonly perGpu: boolean },
): void {
  const name = service.name();
  const lines = (verb: string, more = '') =>
    perGpu
      ? { [`mgpu ${name} ${verb} 0${more}`]: 'on GPU 0', [`mgpu ${name} ${verb} all${more}`]: 'wherever it belongs' }
      : { [`mgpu ${name} ${verb}${more}`]: 'the one there is' };
  const gpuHelp = 'numbers of GPUs, or all; nothing for what runs once for the machine';
  const own = new Set(service.commands);
  withExamples(
    service
      .command('start')
      .description('start it, and wait until it is ready')
      .argument('[gpu...]', gpuHelp)
      .action((gpus: string[]) =>
        runner.ask(({ operate, ofService }, context) => operate(context, 'start', ofService(kind, gpus))),
      ),
    lines('start'),
  );
  for (const verb of ['stop', 'restart'] as const) {
    withExamples(
      service
        .command(verb)
        .description(verb === 'stop' ? 'stop it until somebody starts it' : 'stop it and start it again')
        .argument('[gpu...]', gpuHelp)
        .option('--force', 'kill at once instead of letting work in hand end')
        .action((gpus: string[], flags: { force?: boolean }) =>
          runner.ask(({ operate, ofService }, context) => operate(context, verb, ofService(kind, gpus), flags)),
        ),
      { ...lines(verb), ...lines(verb, ' --force') },
    );
  }
  withExamples(
    service
      .command('status')
      .description('whether it runs; exit 4 when it does not everywhere, 1 when nowhere')
      .argument('[gpu...]', gpuHelp)
      .action((gpus: string[]) =>
        runner.ask(({ status, ofService }, context) =>
          status(context, ofService(kind, gpus.length === 0 ? ['all'] : gpus), { withoutDaemon }),
        ),
      ),
    lines('status', ' && echo runs'),
  );
  addServiceLogs(service, runner, kind);
  if (![...own].some((each) => each.name() === 'setup'))
    withExamples(
      service
        .command('setup')
        .description('nothing: it brings what it needs when it starts')
        .argument('[gpu...]', gpuHelp)
        .action(async (gpus: string[]) => {
          const { setup } = await import('../commands/setup.ts');
          await runner.run((context) => setup(context, kind, gpus));
        }),
      lines('setup'),
    );
  withExamples(
    service
      .command('count')
      .description('print the number of its instances, and nothing else')
      .action(async () => {
        const [{ count }, { everyOf, ofService }] = await Promise.all([
          import('../commands/count.ts'),
          import('../selectors.ts'),
        ]);
        await runner.run((context) => count(context, isOurs ? everyOf(kind) : ofService(kind, ['all'])));
      }),
    { [`mgpu ${name} count`]: 'in scripts' },
  );
  for (const each of service.commands) if (!own.has(each)) commonVerbs.add(each);
}
