import { knownMachine } from '../known-machine.ts';
import type { Selection } from '../selectors.ts';
import { type CommandContext, type ExitCode, exitCodes } from './command.ts';

/** Prints how many GPUs the machine has, or how many instances are selected; nothing but the number. Needs no daemon. */
export async function count(context: CommandContext, select?: Selection): Promise<ExitCode> {
  const machine = await knownMachine(context);
  const number = select === undefined ? machine.gpus.length : select(machine).length;
  context.output.data('Count', { count: number });
  context.output.line(String(number));
  return exitCodes.done;
}
