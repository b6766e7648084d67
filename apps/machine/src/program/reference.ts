import type { Command } from 'commander';
import type { Runner } from './runner.ts';

export function addReference(program: Command, runner: Runner): void {
  program
    .command('reference', { hidden: true })
    .description('print options and commands in Markdown, for docs/reference/cli.md')
    .action(async () => {
      const { reference } = await import('../commands/reference.ts');
      await runner.run((context) => reference(context, program));
    });
}
