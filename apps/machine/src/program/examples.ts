import type { Command } from 'commander';
import { lineWidth, paragraph } from '../print/text.ts';
import { exampleLines } from './example-lines.ts';

/** Command lines, each with what it does. */
export type Examples = Readonly<Record<string, string>>;

const known = new WeakMap<Command, Examples>();

/** For commands that are made alike, with other names. The lines of all others are in `exampleLines`. */
export function withExamples(command: Command, examples: Examples): Command {
  known.set(command, examples);
  return command;
}

export const examplesOf = (command: Command): Examples => known.get(command) ?? exampleLines[pathOf(command)] ?? {};

/** Shows the examples of every command below its help. */
export function showExamples(program: Command): void {
  program.addHelpText('afterAll', ({ command }) => {
    const examples = Object.entries(examplesOf(command));
    if (examples.length === 0) return '';
    const width = Math.max(...examples.map(([line]) => line.length));
    const isNarrow = examples.every(([, what]) => width + what.length + 5 <= lineWidth);
    const shown = examples.map(([line, what]) =>
      isNarrow ? `  ${line.padEnd(width)}   ${what}` : `  ${line}\n${paragraph('      ', what)}`,
    );
    return `\nExamples:\n${shown.join('\n')}`;
  });
}

/** What is typed after `mgpu`. */
const pathOf = (command: Command): string =>
  command.parent?.parent ? `${pathOf(command.parent)} ${command.name()}` : command.name();
