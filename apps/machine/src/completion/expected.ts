import type { Command, Option } from 'commander';
import { serviceVerbs } from '../program/services.ts';

/** What only the machine knows: what `mgpu start` takes, numbers of GPUs, what `mgpu why` takes, or names of services. */
export type LiveWords = 'selectors' | 'gpus' | 'subjects' | 'services';

export interface Word {
  readonly value: string;
  readonly description: string;
}

/** What a command line can go on with. */
export interface Expected {
  readonly words: readonly Word[];
  readonly live?: LiveWords;
  /** Only when none of the words begins like what was typed. */
  readonly liveAsLastResort?: boolean;
  readonly files?: boolean;
  /** Global options that name the machine. */
  readonly machine: { readonly root?: string; readonly config?: string };
}

const liveOf: Readonly<Record<string, LiveWords>> = { selector: 'selectors', gpu: 'gpus', subject: 'subjects' };
const filesOf = new Set(['file', 'path', 'dir', 'workflow.json', 'snapshot']);

const nothing = { words: [] };
const words = (values: readonly string[]) => values.map((value) => ({ value, description: '' }));

/** What the last of the words, which may be empty, can become. */
export function expectedNext(program: Command, typed: readonly string[]): Expected {
  const { command, operands, option, isLiteral, machine } = follow(program, typed.slice(0, -1));
  const word = typed.at(-1) ?? '';
  return { machine, ...next() };

  function next(): Omit<Expected, 'machine'> {
    if (option) return { words: words(option.argChoices ?? []), files: takesFile(option.flags) };
    if (word.startsWith('-') && !isLiteral) return { words: optionsOf(command) };
    if (operands.length === 0 && command.commands.length > 0) {
      const subcommands = command.createHelp().visibleCommands(command);
      const known = subcommands.map((each) => ({ value: each.name(), description: each.description() }));
      return command === program ? { words: known, live: 'services', liveAsLastResort: true } : { words: known };
    }
    // A service that only the daemon knows.
    if (command === program)
      return operands.length === 1 ? { words: words(serviceVerbs) } : { ...nothing, live: 'gpus' };
    const own = command.registeredArguments;
    const argument = own[operands.length] ?? (own.at(-1)?.variadic ? own.at(-1) : undefined);
    if (!argument) return nothing;
    const live = liveOf[argument.name()];
    return { words: words(argument.argChoices ?? []), files: filesOf.has(argument.name()), ...(live ? { live } : {}) };
  }
}

const takesFile = (flags: string) => filesOf.has(/[<[](.+?)[>\]]/.exec(flags)?.[1] ?? '');

function optionsOf(command: Command): Word[] {
  const help = command.createHelp();
  const all = [
    ...help.visibleOptions(command),
    ...lineage(command).flatMap((each) => (each === command ? [] : each.options)),
  ];
  return all.flatMap(({ long, description }) => (long ? [{ value: long, description }] : []));
}

/** Where the words lead: which command, what it was given, and an option that still waits for its value. */
function follow(program: Command, typed: readonly string[]) {
  let command = program;
  let option: Option | undefined;
  let isLiteral = false;
  const operands: string[] = [];
  const values: Record<string, string> = {};
  for (const word of typed) {
    const isOption = !isLiteral && word.startsWith('-');
    if (option && !isOption) {
      values[option.attributeName()] = word;
      if (!option.variadic) option = undefined;
    } else if (word === '--') {
      isLiteral = true;
    } else if (isOption) {
      const found = lineage(command)
        .flatMap((each) => each.options)
        .find(({ long, short }) => word === long || word === short);
      option = found?.required ? found : undefined;
    } else {
      const below = operands.length === 0 ? command.commands.find((each) => each.name() === word) : undefined;
      if (below) command = below;
      else operands.push(word);
    }
  }
  const { root, config } = values;
  return {
    command,
    operands,
    option,
    isLiteral,
    machine: { ...(root ? { root } : {}), ...(config ? { config } : {}) },
  };
}

/** A command and those it is part of: their options are its own, too. */
function lineage(command: Command): Command[] {
  return command.parent ? [command, ...lineage(command.parent)] : [command];
}
