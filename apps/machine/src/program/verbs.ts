import type { Command } from 'commander';
import { withExamples } from './examples.ts';
import type { Runner } from './runner.ts';
import { withoutDaemon } from './without-daemon.ts';

interface VerbFlags {
  readonly force?: boolean;
  readonly outdated?: boolean;
}

export const selectorHelp = 'a service, an instance such as comfyui_gpu0, gpu:N, or all';

/** What is done to instances, whichever are named. */
export function addVerbs(program: Command, runner: Runner): void {
  withExamples(
    program
      .command('start')
      .description('start instances, and wait until they are ready; exit 4 when some failed, 1 when all did')
      .argument('<selector...>', selectorHelp)
      .action((selectors: string[]) =>
        runner.ask(({ operate, bySelectors }, context) => operate(context, 'start', bySelectors(selectors))),
      ),
    {
      'mgpu start gpu:1': 'everything of GPU 1',
      'mgpu start comfyui_gpu0 worker_gpu0': 'these two',
      'mgpu start all': 'whatever does not run',
    },
  );
  withExamples(
    program
      .command('stop')
      .description('stop instances until somebody starts them; exit 4 when some failed, 1 when all did')
      .argument('<selector...>', selectorHelp)
      .option('--force', 'kill at once instead of letting work in hand end')
      .action((selectors: string[], flags: VerbFlags) =>
        runner.ask(({ operate, bySelectors }, context) => operate(context, 'stop', bySelectors(selectors), flags)),
      ),
    {
      'mgpu stop gpu:1': 'everything of GPU 1, its worker first, when its job has ended',
      'mgpu stop worker': 'all workers: no more jobs are taken',
      'mgpu stop comfyui_gpu0 --force': 'at once',
    },
  );
  const restart = program.command('restart');
  withExamples(
    restart
      .description('stop instances and start them again; exit 4 when some failed, 1 when all did')
      .argument('[selector...]', selectorHelp)
      .option('--force', 'kill at once instead of letting work in hand end')
      .option('--outdated', 'only those that run by other settings than those in force; without selectors all such')
      .action((selectors: string[], flags: VerbFlags) => {
        if (selectors.length === 0 && !flags.outdated)
          return restart.error("missing required argument 'selector', or --outdated");
        const named = selectors.length === 0 ? ['all'] : selectors;
        return runner.ask(({ operate, bySelectors }, context) =>
          operate(context, 'restart', bySelectors(named), flags),
        );
      }),
    {
      'mgpu restart comfyui': 'ComfyUI on all GPUs',
      'mgpu restart gpu:0': 'everything of GPU 0',
      'mgpu restart --outdated': 'what does not run by the present settings yet',
    },
  );
  withExamples(
    program
      .command('status')
      .description(
        'how the machine is, without a daemon what is left of it; of the instances that are named exit 4 when some do not run, 1 when none does',
      )
      .argument('[selector...]', selectorHelp)
      .option(
        '--watch',
        'go on until Ctrl-C: in place on a terminal, else a block, or with --json a line, for each change',
      )
      .action((selectors: string[], { watch }: { watch?: boolean }) =>
        runner.ask(({ status, bySelectors }, context) =>
          status(context, selectors.length === 0 ? undefined : bySelectors(selectors), { watch, withoutDaemon }),
        ),
      ),
    {
      'mgpu status': 'the machine',
      'mgpu status --watch': 'the same, for as long as somebody looks',
      'mgpu status gpu:0 nginx': 'these, and by the exit code whether all of them run',
      'mgpu status --json': 'for programs',
    },
  );
  withExamples(
    program
      .command('count')
      .description('print the number of GPUs, and nothing else')
      .action(async () => {
        const { count } = await import('../commands/count.ts');
        await runner.run((context) => count(context));
      }),
    { 'for gpu in $(seq 0 $(($(mgpu count) - 1)))': 'in scripts' },
  );
}
