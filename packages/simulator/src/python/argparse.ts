import { statSync } from 'node:fs';
import { PythonError, pyFloat, pyInt, pyRepr } from './values.ts';

/** A command line that argparse would refuse: usage on stderr, exit 2. */
export class UsageError extends Error {}

/** How many values a flag takes, in argparse's notation. */
type Arity = 'none' | 'one' | 'optional' | 'many' | 'any';

export interface Flag {
  readonly name: string;
  readonly arity: Arity;
  readonly value?: string;
  readonly type?: 'int' | 'float' | 'path' | 'directory';
  readonly choices?: readonly string[];
  /** Given again, it adds to its values. */
  readonly append?: boolean;
  /** Flags of one exclusive group refuse each other. */
  readonly group?: string;
}

/** Values per flag name; flags with `append` accumulate, others keep the last occurrence. */
export type ParsedFlags = ReadonlyMap<string, readonly string[]>;

const isOption = (token: string) => token.startsWith('-') && token !== '-' && !/^-\d+(\.\d*)?$/.test(token);

/** Reads a command line as Python's argparse does with these flags: unique prefixes, `--flag=value`, exclusive groups. */
export function parseFlags(tokens: readonly string[], flags: readonly Flag[]): ParsedFlags {
  const parsed = new Map<string, readonly string[]>();
  const groups = new Map<string, string>();
  const strangers: string[] = [];
  for (let i = 0; i < tokens.length; ) {
    const token = tokens[i++] as string;
    if (!isOption(token)) {
      strangers.push(token);
      continue;
    }
    const [name, inline] = splitInline(token);
    const flag = findFlag(flags, name);
    if (flag === undefined) {
      strangers.push(token);
      continue;
    }
    const values = inline === undefined ? [] : [inline];
    if (inline === undefined) {
      const most =
        flag.arity === 'none' ? 0 : flag.arity === 'one' || flag.arity === 'optional' ? 1 : Number.POSITIVE_INFINITY;
      while (values.length < most && i < tokens.length && !isOption(tokens[i] as string))
        values.push(tokens[i++] as string);
    }
    checkCount(flag, values, inline);
    checkGroup(flag, groups);
    for (const value of values) checkValue(flag, value);
    parsed.set(flag.name, flag.append ? [...(parsed.get(flag.name) ?? []), ...values] : values);
  }
  if (strangers.length > 0) throw new UsageError(`unrecognized arguments: ${strangers.join(' ')}`);
  return parsed;
}

function splitInline(token: string): [string, string | undefined] {
  const at = token.indexOf('=');
  return at < 0 ? [token, undefined] : [token.slice(0, at), token.slice(at + 1)];
}

function findFlag(flags: readonly Flag[], name: string): Flag | undefined {
  const exact = flags.find((flag) => flag.name === name);
  if (exact !== undefined || !name.startsWith('--')) return exact;
  const matches = flags.filter((flag) => flag.name.startsWith(name));
  if (matches.length > 1)
    throw new UsageError(`ambiguous option: ${name} could match ${matches.map((flag) => flag.name).join(', ')}`);
  return matches[0];
}

function checkCount(flag: Flag, values: readonly string[], inline: string | undefined): void {
  if (flag.arity === 'none' && inline !== undefined)
    throw new UsageError(`argument ${flag.name}: ignored explicit argument ${pyRepr(inline)}`);
  if (flag.arity === 'one' && values.length === 0) throw new UsageError(`argument ${flag.name}: expected one argument`);
  if (flag.arity === 'many' && values.length === 0)
    throw new UsageError(`argument ${flag.name}: expected at least one argument`);
}

function checkGroup(flag: Flag, groups: Map<string, string>): void {
  if (flag.group === undefined) return;
  const other = groups.get(flag.group);
  if (other !== undefined && other !== flag.name)
    throw new UsageError(`argument ${flag.name}: not allowed with argument ${other}`);
  groups.set(flag.group, flag.name);
}

function checkValue(flag: Flag, value: string): void {
  if (flag.choices !== undefined && !flag.choices.includes(value)) {
    throw new UsageError(
      `argument ${flag.name}: invalid choice: ${pyRepr(value)} (choose from ${flag.choices.map(pyRepr).join(', ')})`,
    );
  }
  if (flag.type === 'directory' && !statSync(value, { throwIfNoEntry: false })?.isDirectory()) {
    throw new UsageError(`argument ${flag.name}: The path ${pyRepr(value)} does not exist.`);
  }
  if (flag.type !== 'int' && flag.type !== 'float') return;
  try {
    (flag.type === 'int' ? pyInt : pyFloat)(value);
  } catch (error) {
    if (error instanceof PythonError)
      throw new UsageError(`argument ${flag.name}: invalid ${flag.type} value: ${pyRepr(value)}`);
    throw error;
  }
}

/** The usage text of a script, wrapped as argparse wraps it. */
export function usageOf(script: string, flags: readonly Flag[]): string {
  const parts = ['[-h]', ...flags.map((flag) => `[${flag.name}${valueText(flag)}]`)];
  const lines = [`usage: ${script}`];
  const margin = ' '.repeat(`usage: ${script}`.length);
  for (const part of parts) {
    if ((lines.at(-1) ?? '').length + part.length >= 79) lines.push(`${margin}${part}`);
    else lines[lines.length - 1] += ` ${part}`;
  }
  return lines.join('\n');
}

function valueText({ arity, value }: Flag): string {
  if (arity === 'none') return '';
  if (arity === 'one') return ` ${value}`;
  return arity === 'optional' ? ` [${value}]` : arity === 'many' ? ` ${value} [${value} ...]` : ` [${value} ...]`;
}
