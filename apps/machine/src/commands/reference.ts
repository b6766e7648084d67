import type { Command } from 'commander';
import { referenceText } from '../print/reference-text.ts';
import { type CommandContext, type ExitCode, exitCodes } from './command.ts';

/** Prints options and commands in Markdown. */
export async function reference({ output }: CommandContext, program: Command): Promise<ExitCode> {
  const text = referenceText(program);
  output.data('Reference', { text });
  output.line(text);
  return exitCodes.done;
}
