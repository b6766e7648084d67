import type { Command } from 'commander';

/** Command lines, each with what it does. */
export type Examples = Readonly<Record<string, string>>;

const known = new WeakMap<Command, Examples>();

/** Shows command lines below the help of a command. */
export function withExamples(command: Command, examples: Examples): Command {
  known.set(command, examples);
  const width = Math.max(...Object.keys(examples).map((line) => line.length));
  const lines = Object.entries(examples).map(([line, what]) => `  ${line.padEnd(width)}   ${what}`.trimEnd());
  return command.addHelpText('after', `\nExamples:\n${lines.join('\n')}`);
}

export const examplesOf = (command: Command): Examples => known.get(command) ?? {};
