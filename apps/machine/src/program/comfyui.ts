import { type Command, Option } from 'commander';
import type { SetupFlags } from '../commands/comfyui.ts';
import { positive } from './options.ts';
import type { Runner } from './runner.ts';

export function addComfyui(program: Command, runner: Runner): void {
  const comfyui = program.command('comfyui').description('ComfyUI on this machine');
  comfyui
    .command('setup')
    .description('install it, or bring it to what the configuration asks for, instance by instance')
    .argument('[gpu...]', 'as a habit: one installation serves all GPUs')
    .option('--repository <url>', 'clone from there')
    .option('--ref <ref>', 'branch, tag or commit')
    .addOption(
      new Option('--extra <name...>', 'accelerators').choices(['xformers', 'flash-attention', 'sage-attention']),
    )
    .option('--update', 'look the branch or tag up again')
    .action(async (gpus: string[], flags: SetupFlags) => {
      const [{ comfyuiSetup }, { expectGpus }] = await Promise.all([
        import('../commands/comfyui.ts'),
        import('../commands/setup.ts'),
      ]);
      await runner.run(async (context) => {
        await expectGpus(context, 'comfyui', gpus);
        return await comfyuiSetup(context, flags);
      });
    });
  const generations = comfyui
    .command('generations')
    .description('versions of ComfyUI, its packages and its custom nodes');
  generations
    .command('ls', { isDefault: true })
    .description('those there are, and which one is in force')
    .action(async () => runner.run((await import('../commands/comfyui.ts')).generationsLs));
  generations
    .command('diff')
    .description('what changes from one to another')
    .argument('<from>', 'its id or number')
    .argument('[to]', 'default: the one in force')
    .action(async (from: string, to?: string) => {
      const { generationsDiff } = await import('../commands/comfyui.ts');
      await runner.run((context) => generationsDiff(context, from, to));
    });
  generations
    .command('switch')
    .description('bring one to all instances, one after the other; any failure brings all back')
    .argument('<id>', 'its id or number')
    .action(async (id: string) => {
      const { generationsSwitch } = await import('../commands/comfyui.ts');
      await runner.run((context) => generationsSwitch(context, id));
    });
  generations
    .command('rollback')
    .description('bring the one before to all instances at once')
    .action(async () => runner.run((await import('../commands/comfyui.ts')).generationsRollback));
  generations
    .command('prune')
    .description('remove old ones that are not in use')
    .option('--keep <n>', 'keep the newest so many', positive, 3)
    .action(async ({ keep }: { keep: number }) => {
      const { generationsPrune } = await import('../commands/comfyui.ts');
      await runner.run((context) => generationsPrune(context, keep));
    });
}
