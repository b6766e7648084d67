import type { Argument, Command, Option } from 'commander';
import { examplesOf } from '../program/examples.ts';
import { commonVerbs } from '../program/services.ts';

/** A service that has nothing but what all have, on each GPU. */
const exemplar = 'worker';

/** Options and commands in Markdown: the greater part of `docs/reference/cli.md`, which `npm run reference` writes. */
export function referenceText(program: Command): string {
  const leaves = leavesOf(program, []);
  const common = leaves.filter(({ path, command }) => path[0] === exemplar && commonVerbs.has(command));
  const own = leaves.filter(({ command }) => !commonVerbs.has(command));
  const services = program.commands.filter((each) => each.commands.some((verb) => commonVerbs.has(verb)));
  const names = services.map((each) => `\`${each.name()}\``).join(', ');
  return [
    '## Global options\n',
    optionsTable(program.options),
    '\n## Every service\n',
    `\`<service>\` is ${names}, or any other that \`mgpu status\` shows, plugins among them. \`[gpu...]\` are numbers of GPUs or`,
    '`all`, for what runs once for the machine nothing or `all`.\n',
    ...common.map(({ path, command }) => section(['<service>', ...path.slice(1)], command, exemplar)),
    '## Commands\n',
    ...own.map(({ path, command }) => section(path, command)),
  ]
    .join('\n')
    .trimEnd();
}

interface Leaf {
  readonly path: readonly string[];
  readonly command: Command;
}

/** Commands that do something, in the order of the help. */
function leavesOf(command: Command, path: readonly string[]): Leaf[] {
  const below = command
    .createHelp()
    .visibleCommands(command)
    .filter((each) => each.name() !== 'help');
  if (below.length === 0) return [{ path, command }];
  return below.flatMap((each) => leavesOf(each, [...path, each.name()]));
}

function section(path: readonly string[], command: Command, name?: string): string {
  const generic = (text: string) => (name === undefined ? text : text.replaceAll(`mgpu ${name} `, 'mgpu <service> '));
  const examples = Object.entries(examplesOf(command));
  const width = Math.max(0, ...examples.map(([line]) => generic(line).length));
  const lines = examples.map(([line, what]) => `${generic(line).padEnd(width)}   # ${what}`);
  const words = ['mgpu', ...path, ...command.registeredArguments.map(shown)].join(' ');
  const described = command.registeredArguments.filter(({ description, argChoices }) => description || argChoices);
  const inputs = [
    ...described.map((each) => item(shown(each), each.description, each.argChoices)),
    ...command.options.map((each) => item(each.flags, each.description, each.argChoices)),
  ];
  return [
    `### \`${words}\`\n`,
    `${sentence(command.description())}\n`,
    ...(inputs.length > 0 ? [`${inputs.join('\n')}\n`] : []),
    ...(lines.length > 0 ? [`\`\`\`sh\n${lines.join('\n')}\n\`\`\`\n`] : []),
  ].join('\n');
}

const shown = (argument: Argument) => {
  const name = `${argument.name()}${argument.variadic ? '...' : ''}`;
  return argument.required ? `<${name}>` : `[${name}]`;
};

function item(what: string, description: string, choices: readonly string[] | undefined): string {
  const list = choices ? choices.map((each) => `\`${each}\``).join(', ') : '';
  return [`- \`${what}\``, description, list].filter(Boolean).join(': ');
}

const sentence = (text: string) => `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;

const optionsTable = (options: readonly Option[]) =>
  options.map(({ flags, description }) => item(flags, description, undefined)).join('\n');
