import type { Command } from 'commander';
import { withExamples } from './examples.ts';
import type { Runner } from './runner.ts';
import { withoutDaemon } from './without-daemon.ts';

/** Services that are commands, by name: what they are, and their kind where it has another name. */
const services: Readonly<Record<string, { readonly summary: string; readonly kind?: string }>> = {
  comfyui: { summary: 'ComfyUI on this machine' },
  a1111: { summary: 'Automatic1111 on this machine' },
  worker: { summary: 'the workers, which take jobs from the queue' },
  ollama: { summary: "the models of this machine's Ollama" },
  nginx: { summary: 'the proxy in front of the engines' },
  redis: { summary: 'the queue of jobs' },
  watchdog: { summary: 'what looks after everything else' },
  workflows: { summary: 'workflows that are kept in step with a repository' },
  ssh: { summary: "the machine's own SSH server" },
  nodes: { summary: "ComfyUI's custom nodes", kind: 'custom-nodes' },
  models: { summary: 'models of the list and the bucket' },
};

export const serviceVerbs: readonly string[] = ['start', 'stop', 'restart', 'status', 'setup', 'count'];

/** Whether a command line such as `mgpu gadget start 0` may be about a service of a plugin. */
export const isServiceVerb = (word: string | undefined): boolean => word !== undefined && serviceVerbs.includes(word);

/** What can be done to each service of ours, beside what is there for it already. */
export function addServices(program: Command, runner: Runner): void {
  for (const [name, { summary, kind = name }] of Object.entries(services)) {
    const there = program.commands.find((each) => each.name() === name);
    addVerbsOf(there ?? program.command(name).description(summary), runner, { kind, isOurs: true });
  }
}

/** The same for a service that the daemon may know. */
export function addService(program: Command, runner: Runner, kind: string): void {
  addVerbsOf(program.command(kind, { hidden: true }), runner, { kind, isOurs: false });
}

function addVerbsOf(
  service: Command,
  runner: Runner,
  { kind, isOurs }: { readonly kind: string; readonly isOurs: boolean },
): void {
  const name = service.name();
  const gpuHelp = 'numbers of GPUs, or all; nothing for what runs once for the machine';
  const has = (verb: string) => service.commands.some((each) => each.name() === verb);
  withExamples(
    service
      .command('start')
      .description('start it, and wait until it is ready')
      .argument('[gpu...]', gpuHelp)
      .action((gpus: string[]) =>
        runner.ask(({ operate, ofService }, context) => operate(context, 'start', ofService(kind, gpus))),
      ),
    { [`mgpu ${name} start 0`]: 'on GPU 0', [`mgpu ${name} start all`]: 'wherever it belongs' },
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
      { [`mgpu ${name} ${verb} 1`]: 'on GPU 1', [`mgpu ${name} ${verb} all --force`]: 'everywhere, at once' },
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
    { [`mgpu ${name} status 0 && echo runs`]: 'in scripts' },
  );
  if (!has('setup'))
    service
      .command('setup')
      .description('nothing: it brings what it needs when it starts')
      .argument('[gpu...]', gpuHelp)
      .action(async (gpus: string[]) => {
        const { setup } = await import('../commands/setup.ts');
        await runner.run((context) => setup(context, kind, gpus));
      });
  service
    .command('count')
    .description('print the number of its instances, and nothing else')
    .action(async () => {
      const [{ count }, { everyOf, ofService }] = await Promise.all([
        import('../commands/count.ts'),
        import('../selectors.ts'),
      ]);
      await runner.run((context) => count(context, isOurs ? everyOf(kind) : ofService(kind, ['all'])));
    });
}
