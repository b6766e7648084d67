import type { Command } from 'commander';
import { gpuIndex } from './options.ts';
import type { Runner } from './runner.ts';

export function addA1111(program: Command, runner: Runner): void {
  const a1111 = program.command('a1111').description('Automatic1111 on this machine');
  a1111
    .command('setup')
    .description(
      'install it, or bring it to what the configuration asks for; instances take it when they are restarted',
    )
    .argument('[gpu...]', 'as a habit: one installation serves all GPUs')
    .option('--update', 'look the branch or tag up again')
    .action(async (gpus: string[], flags: { update?: boolean }) => {
      const [{ a1111Setup }, { expectGpus }] = await Promise.all([
        import('../commands/a1111.ts'),
        import('../commands/setup.ts'),
      ]);
      await runner.run(async (context) => {
        await expectGpus(context, 'a1111', gpus);
        return await a1111Setup(context, flags);
      });
    });
  a1111
    .command('models', { isDefault: true })
    .description('the checkpoints there are, and who has which one loaded')
    .action(async () => runner.run((await import('../commands/a1111.ts')).a1111Models));
  a1111
    .command('load')
    .description('load a checkpoint on all instances that run; exit 4 when some failed')
    .argument('<model>', "its title, its file's name, or its hash")
    .option('--gpu <n>', 'only on this GPU', gpuIndex)
    .action(async (model: string, flags: { gpu?: number }) => {
      const { a1111Load } = await import('../commands/a1111.ts');
      await runner.run((context) => a1111Load(context, model, flags));
    });
}
