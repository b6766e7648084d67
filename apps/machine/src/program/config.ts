import type { Command } from 'commander';
import type { Runner } from './runner.ts';

export function addConfig(program: Command, runner: Runner): void {
  const config = program.command('config').description('the configuration');
  config
    .command('show')
    .description('the configuration in force, secrets left out')
    .action(async () => runner.run((await import('../commands/config.ts')).configShow));
  config
    .command('validate')
    .description('every problem of the configuration')
    .action(async () => runner.run((await import('../commands/config.ts')).configValidate));
  config
    .command('schema')
    .description('JSON Schema for editors')
    .action(async () => runner.run((await import('../commands/config.ts')).configSchema));
  config
    .command('environment')
    .description('the environment variables that are understood')
    .action(async () => runner.run((await import('../commands/config.ts')).configEnvironment));
}
