import type { Command } from 'commander';
import type { Runner } from './runner.ts';
import { withoutDaemon } from './without-daemon.ts';

interface VerbFlags {
  readonly force?: boolean;
  readonly outdated?: boolean;
}

const selectorHelp = 'a service, an instance such as comfyui_gpu0, gpu:N, or all';

/** What is done to instances, whichever are named. */
export function addVerbs(program: Command, runner: Runner): void {
  program
    .command('start')
    .description('start instances, and wait until they are ready; exit 4 when some failed, 1 when all did')
    .argument('<selector...>', selectorHelp)
    .action((selectors: string[]) =>
      runner.ask(({ operate, bySelectors }, context) => operate(context, 'start', bySelectors(selectors))),
    );
  program
    .command('stop')
    .description('stop instances until somebody starts them; exit 4 when some failed, 1 when all did')
    .argument('<selector...>', selectorHelp)
    .option('--force', 'kill at once instead of letting work in hand end')
    .action((selectors: string[], flags: VerbFlags) =>
      runner.ask(({ operate, bySelectors }, context) => operate(context, 'stop', bySelectors(selectors), flags)),
    );
  const restart = program.command('restart');
  restart
    .description('stop instances and start them again; exit 4 when some failed, 1 when all did')
    .argument('[selector...]', selectorHelp)
    .option('--force', 'kill at once instead of letting work in hand end')
    .option('--outdated', 'only those that run by other settings than those in force; without selectors all such')
    .action((selectors: string[], flags: VerbFlags) => {
      if (selectors.length === 0 && !flags.outdated)
        return restart.error("missing required argument 'selector', or --outdated");
      const named = selectors.length === 0 ? ['all'] : selectors;
      return runner.ask(({ operate, bySelectors }, context) => operate(context, 'restart', bySelectors(named), flags));
    });
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
    );
  program
    .command('count')
    .description('print the number of GPUs, and nothing else')
    .action(async () => {
      const { count } = await import('../commands/count.ts');
      await runner.run((context) => count(context));
    });
}
