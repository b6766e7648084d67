import type { Command } from 'commander';
import type { AddFlags, ApplyFlags } from '../commands/nodes.ts';
import type { Runner } from './runner.ts';

export function addNodes(program: Command, runner: Runner): void {
  const nodes = program.command('nodes').description("ComfyUI's custom nodes, as a list says (config_nodes.json)");
  const applyOptions = (command: Command) =>
    command
      .option('--locked [file]', 'to the commits and packages of the lock, or of one brought along; not to the newest')
      .option('--force', 'stash edits that are in the way')
      .option('--prune', 'remove packs that an apply brought and the list does not have any more')
      .option('--retry', 'try again what failed before and would fail again as far as is known');
  applyOptions(nodes.command('plan').description('what an apply would do; changes nothing')).action(
    async (flags: ApplyFlags) => {
      const { nodesPlan } = await import('../commands/nodes.ts');
      await runner.run((context) => nodesPlan(context, flags));
    },
  );
  applyOptions(
    nodes
      .command('apply')
      .description('bring the packs to what the list says, instance by instance; exit 4 when some failed'),
  ).action(async (flags: ApplyFlags) => {
    const { nodesApply } = await import('../commands/nodes.ts');
    await runner.run((context) => nodesApply(context, flags));
  });
  nodes
    .command('ls', { isDefault: true })
    .description('the packs that are there')
    .action(async () => runner.run((await import('../commands/nodes.ts')).nodesLs));
  nodes
    .command('lock')
    .description('print the lock: commits and packages as they are')
    .action(async () => runner.run((await import('../commands/nodes.ts')).nodesLock));
  nodes
    .command('add')
    .description('add a pack to the list and to the machine; to neither when it fails')
    .argument('<url>')
    .option('--name <name>', 'its folder (default: from the URL)')
    .option('--branch <branch>', 'its newest commit, at each update')
    .option('--commit <commit>', 'this one, whatever comes after it')
    .option('--recursive', 'with submodules')
    .option('--no-requirements', 'without its requirements.txt')
    .option('--install-script', 'run its install.py')
    .action(async (url: string, flags: AddFlags) => {
      const { nodesAdd } = await import('../commands/nodes.ts');
      await runner.run((context) => nodesAdd(context, url, flags));
    });
  nodes
    .command('update')
    .description('bring packs to the newest commit that their entry allows')
    .argument('[name...]', 'default: all')
    .action(async (names: string[]) => {
      const { nodesUpdate } = await import('../commands/nodes.ts');
      await runner.run((context) => nodesUpdate(context, names));
    });
  nodes
    .command('remove')
    .description('take packs out of the list and off the machine')
    .argument('<name...>')
    .action(async (names: string[]) => {
      const { nodesRemove } = await import('../commands/nodes.ts');
      await runner.run((context) => nodesRemove(context, names));
    });
  for (const verb of ['enable', 'disable'] as const) {
    nodes
      .command(verb)
      .description(verb === 'enable' ? 'put packs back into their place' : 'put packs aside')
      .argument('<name...>')
      .action(async (names: string[]) => {
        const { nodesSetEnabled } = await import('../commands/nodes.ts');
        await runner.run((context) => nodesSetEnabled(context, names, verb === 'enable'));
      });
  }
  nodes
    .command('restore')
    .description('bring the packs to a snapshot of ComfyUI-Manager; exit 1 with what differs')
    .argument('<snapshot>')
    .action(async (path: string) => {
      const { nodesRestore } = await import('../commands/nodes.ts');
      await runner.run((context) => nodesRestore(context, path));
    });
  nodes
    .command('rollback')
    .description('bring back the generation before')
    .action(async () => runner.run((await import('../commands/comfyui.ts')).generationsRollback));
}
