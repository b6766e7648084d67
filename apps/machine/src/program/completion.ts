import { Argument, type Command } from 'commander';
import type { Shell } from '../commands/completion.ts';
import type { Runner } from './runner.ts';

export function addCompletion(program: Command, runner: Runner): void {
  program
    .command('completion')
    .description('print what lets a shell complete commands, and the names of this machine')
    .addArgument(new Argument('<shell>').choices(['bash', 'zsh', 'fish']))
    .action(async (shell: Shell) => {
      const { completion } = await import('../commands/completion.ts');
      await runner.run((context) => completion(context, shell));
    });
  program
    .command('complete', { hidden: true })
    .description('print what a command line can go on with, for completion')
    .argument('[word...]')
    .action(async (words: string[]) => {
      const { complete } = await import('../commands/complete.ts');
      await runner.run((context) => complete(context, program, words));
    });
}
