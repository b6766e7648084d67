import { type Command, Option } from 'commander';
import type { EvictFlags, PullFlags, SyncFlags } from '../commands/models.ts';
import { byteSize, days, positive } from './options.ts';
import type { Runner } from './runner.ts';

export function addModels(program: Command, runner: Runner): void {
  const models = program.command('models').description('models, as a list and a bucket say (models.yaml)');
  models
    .command('ls', { isDefault: true })
    .description('the models that are there, on their way, or missing')
    .action(async () => runner.run((await import('../commands/models.ts')).modelsLs));
  models
    .command('pull')
    .description('bring models: those of the list that are missing, or addresses; exit 4 when some failed')
    .argument('[model...]', 'names on the list, or https, hf://, civitai://, s3://, gs://, az://')
    .option('--to <path>', 'where an address comes to, such as loras/name.safetensors or loras/')
    .option('--type <type>', 'kind of model, where there is no path: checkpoint, lora, vae, …')
    .option('--sha256 <digits>', 'checksum of an address')
    .option('--size <bytes>', 'size of an address', positive)
    .option('--force', 'bring what is there anew')
    .action(async (wanted: string[], flags: PullFlags) => {
      const { modelsPull } = await import('../commands/models.ts');
      await runner.run((context) => modelsPull(context, wanted, flags));
    });
  models
    .command('sync')
    .description('what each start does: folders, the list, the bucket when it is due; exit 4 when some failed')
    .option('--check-only', 'only say what would be brought')
    .option('--force', 'look at the bucket however young the last sync is')
    .option('--specific-dirs <names>', 'only these folders of the bucket, separated by commas')
    .option('--max-age <days>', 'how old the last sync may be', days)
    .addOption(new Option('--provider <name>', 'whose bucket').choices(['aws', 'google', 'azure']))
    .option('--bucket <name>', 'which bucket or container')
    .option('--test', 'the test container, and test models of the list')
    .action(async (flags: SyncFlags) => {
      const { modelsSync } = await import('../commands/models.ts');
      await runner.run((context) => modelsSync(context, flags));
    });
  models
    .command('verify')
    .description('read every byte and compare it with what it should be; exit 4 when some differ')
    .argument('[name...]', 'default: all')
    .action(async (names: string[]) => {
      const { modelsVerify } = await import('../commands/models.ts');
      await runner.run((context) => modelsVerify(context, names));
    });
  models
    .command('evict')
    .description('remove the least recently used models that mgpu brought; exit 4 when that is not enough')
    .option('--free <size>', 'at least so much, such as 50G', byteSize)
    .option('--to <size>', 'until all models together take no more', byteSize)
    .option('--listed', 'also those on the list; the next start brings them again')
    .option('--dry-run', 'only say what would go')
    .action(async (flags: EvictFlags) => {
      const { modelsEvict } = await import('../commands/models.ts');
      await runner.run((context) => modelsEvict(context, flags));
    });
  models
    .command('du')
    .description('the space that models take, and which are used least')
    .action(async () => runner.run((await import('../commands/models.ts')).modelsDu));
}
