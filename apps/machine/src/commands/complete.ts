import type { Command } from 'commander';
import { expectedNext } from '../completion/expected.ts';
import { type CommandContext, type ExitCode, exitCodes } from './command.ts';

/** Prints what the last of the words can become, in the form that the scripts of the shells read. */
export async function complete(
  { output, settings }: CommandContext,
  program: Command,
  words: readonly string[],
): Promise<ExitCode> {
  const typed = words.at(-1) ?? '';
  const { words: known, live, liveAsLastResort = false, files = false, machine } = expectedNext(program, words);
  const fitting = known.filter(({ value }) => value.startsWith(typed));
  const isLiveAsked = live !== undefined && !(liveAsLastResort && fitting.length > 0);
  const { liveWords } = isLiveAsked ? await import('#ask') : {};
  const named = live && liveWords ? await liveWords(live, { ...settings, ...machine }) : [];
  const found = [
    ...fitting,
    ...named.filter(({ value }) => value.startsWith(typed) && !words.slice(0, -1).includes(value)),
  ];
  output.data('Completions', found);
  if (files && found.length === 0) output.line(':files');
  for (const { value, description } of found) output.line(`${value}\t${description}`);
  return exitCodes.done;
}
