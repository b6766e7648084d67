import type { Command } from 'commander';

/** Commands that do something by themselves would take an unknown word for one argument too many. */
export function refuseUnknownSubcommands(program: Command): void {
  for (const group of program.commands) {
    group.hook('preSubcommand', async (_, chosen) => {
      const [word = ''] = group.args;
      if (word === '' || word.startsWith('-') || chosen.name() === word || chosen.registeredArguments.length > 0)
        return;
      const { nearest } = await import('#ask');
      const near = nearest(
        word,
        group.commands.map((each) => each.name()),
      );
      group.error(`unknown command '${word}'${near === undefined ? '' : ` (Did you mean ${near}?)`}`);
    });
  }
}
