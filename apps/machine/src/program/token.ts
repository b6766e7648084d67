import type { Command } from 'commander';
import type { Runner } from './runner.ts';

export function addToken(program: Command, runner: Runner): void {
  program
    .command('token')
    .description('print the token of the HTTP API')
    .option('--rotate', 'make a new one: the former is worth nothing from the next request on')
    .action(async (flags: { rotate?: boolean }) => {
      const { token } = await import('../commands/token.ts');
      await runner.run((context) => token(context, flags));
    });
}
