import type { Command } from 'commander';
import type { Runner } from './runner.ts';

export function addOllama(program: Command, runner: Runner): void {
  const ollama = program.command('ollama').description("the models of this machine's Ollama");
  ollama
    .command('ls', { isDefault: true })
    .description('models on the disk')
    .action(async () => runner.run((await import('../commands/ollama.ts')).ollamaLs));
  ollama
    .command('ps')
    .description('models in memory')
    .action(async () => runner.run((await import('../commands/ollama.ts')).ollamaPs));
  ollama
    .command('pull')
    .description('bring a model from the registry; an interrupted pull is gone on with')
    .argument('<model>')
    .action(async (model: string) => {
      const { ollamaPull } = await import('../commands/ollama.ts');
      await runner.run((context) => ollamaPull(context, model));
    });
  ollama
    .command('rm')
    .description('remove models from the disk')
    .argument('<model...>')
    .action(async (models: string[]) => {
      const { ollamaRm } = await import('../commands/ollama.ts');
      await runner.run((context) => ollamaRm(context, models));
    });
}
