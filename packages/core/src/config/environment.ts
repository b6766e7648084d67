import { parseCommandString } from 'execa';
import type { AnyServiceDefinition, EnvironmentVariable } from '../definition/define-service.ts';

/** Text as a number; left as it is when it is none, so that validation names it. */
export const numberFromText = (text: string): unknown => (/^-?\d+(\.\d+)?$/.test(text.trim()) ? Number(text) : text);

/** `1 true yes on` and `0 false no off`; left as it is otherwise. */
export function booleanFromText(text: string): unknown {
  if (/^(1|true|yes|on)$/i.test(text.trim())) return true;
  if (/^(0|false|no|off|)$/i.test(text.trim())) return false;
  return text;
}

/** Words separated by spaces; a backslash keeps a space. No shell is involved. */
export const wordsFromText = (text: string): unknown => parseCommandString(text);

/** Variables of the machine itself; services declare theirs in their definitions. */
export const machineEnvironment: Readonly<Record<string, EnvironmentVariable>> = {
  ROOT: { key: '/machine/root', summary: 'Folder for everything' },
  MACHINE_ID: { key: '/machine/id', summary: 'Name of the machine' },
  NUM_GPUS: { key: '/machine/gpu/count', summary: 'GPUs to use', parse: numberFromText },
  MOCK_GPU: {
    key: '/machine/gpu/mode',
    summary: 'Simulated GPUs and engines when true',
    parse: (text) => {
      const value = booleanFromText(text);
      if (value === false) return undefined;
      return value === true ? 'mock' : text;
    },
  },
  MOCK_GPU_NUM: { key: '/machine/gpu/count', summary: 'How many simulated GPUs', parse: numberFromText },
  TEST_GPUS: {
    key: '/machine/gpu',
    summary: 'That many simulated GPUs; 0 means none',
    parse: (text) => (text.trim() === '0' ? undefined : { mode: 'mock', count: numberFromText(text) }),
  },
  LOG_LEVEL: { key: '/logging/level', summary: "Least severe level in the daemon's log" },
};

/** A variable and the path of the key it sets. */
export interface EnvironmentBinding extends EnvironmentVariable {
  readonly name: string;
  readonly path: readonly string[];
}

/** Every variable that is understood, the machine's first. */
export function environmentBindings(definitions: readonly AnyServiceDefinition[]): EnvironmentBinding[] {
  const bind =
    (kind: string | undefined) =>
    ([name, variable]: [string, EnvironmentVariable]): EnvironmentBinding => ({
      ...variable,
      name,
      path:
        variable.key.startsWith('/') || kind === undefined
          ? variable.key.split('/').filter(Boolean)
          : ['services', kind, ...variable.key.split('.')],
    });
  return [
    ...Object.entries(machineEnvironment).map(bind(undefined)),
    ...definitions.flatMap(({ kind, env = {} }) => Object.entries(env).map(bind(kind))),
  ];
}
