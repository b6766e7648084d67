import type { Operation } from '@mgpu/control';
import { argumentsOf, type CommandLine } from './command-line.ts';
import { type CommandSite, runCommand } from './run-command.ts';

/** An operation that is the `mgpu` command of the same name. */
export interface CommandOperation
  extends Pick<Operation, 'name' | 'summary' | 'changes' | 'input'>,
    Partial<Pick<CommandLine, 'operands' | 'negated'>> {}

/** By its name: `models.pull` is `mgpu models pull`. */
export const commandLineOf = ({ name, operands = [], negated = [] }: CommandOperation): CommandLine => ({
  words: name.split('.'),
  operands,
  negated,
});

export const runnable = (operation: CommandOperation, site: () => CommandSite): Operation => ({
  name: operation.name,
  summary: operation.summary,
  changes: operation.changes,
  input: operation.input,
  run: async (input, options) => {
    const line = commandLineOf(operation);
    return await runCommand(line.words.join(' '), argumentsOf(line, input), site(), options);
  },
});
