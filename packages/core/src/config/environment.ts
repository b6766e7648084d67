import type { AnyServiceDefinition, EnvironmentVariable } from '../definition/define-service.ts';

/** Text as a number; left as it is when it is none, so that validation names it. */
export const numberFromText = (text: string): unknown => (/^-?\d+(\.\d+)?$/.test(text.trim()) ? Number(text) : text);

/** `1 true yes on` and `0 false no off`; left as it is otherwise. */
export function booleanFromText(text: string): unknown {
  if (/^(1|true|yes|on)$/i.test(text.trim())) return true;
  if (/^(0|false|no|off|)$/i.test(text.trim())) return false;
  return text;
}

const levelFromText = (text: string) => text.trim().toLowerCase();

/** `20m`, as log rotation has it: k, m, g, or bytes without a unit. */
function mebibytesFromText(text: string): unknown {
  const [, number, unit = 'b'] = /^(\d+)\s*([kmg])?b?$/i.exec(text.trim()) ?? [];
  const units: Readonly<Record<string, number>> = { b: 1 / 1_048_576, k: 1 / 1_024, m: 1, g: 1_024 };
  return number === undefined ? text : Number(number) * (units[unit.toLowerCase()] ?? 1);
}

/** `14d`, or `14`. */
const daysFromText = (text: string) => numberFromText(text.trim().replace(/d$/i, ''));

const isMock = (soFar: unknown) =>
  (soFar as { machine?: { gpu?: { mode?: unknown } } } | undefined)?.machine?.gpu?.mode === 'mock';

const simulatedCount = (text: string, soFar: unknown) => (isMock(soFar) ? numberFromText(text) : undefined);

/** Real GPUs are asked for: that matters where the file says otherwise. */
const notMock = (soFar: unknown) => (isMock(soFar) ? 'auto' : undefined);

/** Variables of the machine itself, a later one wins over an earlier one; services declare theirs in their definitions. */
export const machineEnvironment: Readonly<Record<string, EnvironmentVariable>> = {
  WORKSPACE_DIR: { key: 'machine.root', summary: 'Folder for everything (former name)' },
  WORKSPACE_PATH: { key: 'machine.root', summary: 'Folder for everything (former name)' },
  ROOT: { key: 'machine.root', summary: 'Folder for everything; wins over both' },
  CONTAINER_NAME: { key: 'machine.id', summary: 'Name of the machine' },
  MACHINE_ID: { key: 'machine.id', summary: 'Name of the machine; wins over CONTAINER_NAME' },
  NUM_GPUS: { key: 'machine.gpu.count', summary: 'GPUs to use', parse: numberFromText },
  GPU_MODE: {
    key: 'machine.gpu.mode',
    summary: 'mock: simulated GPUs and engines; actual: real ones',
    parse: (text, soFar) => (text.trim() === 'actual' ? notMock(soFar) : text.trim()),
  },
  MOCK_GPU: {
    key: 'machine.gpu.mode',
    summary: 'Simulated GPUs and engines when true, real ones when false',
    parse: (text, soFar) => {
      const value = booleanFromText(text);
      if (value === false) return notMock(soFar);
      return value === true ? 'mock' : text;
    },
  },
  MACHINE_NUM_GPUS: {
    key: 'machine.gpu.count',
    summary: 'How many simulated GPUs (former name); says nothing about real ones',
    parse: simulatedCount,
  },
  MOCK_GPU_NUM: {
    key: 'machine.gpu.count',
    summary: 'How many simulated GPUs; says nothing about real ones',
    parse: simulatedCount,
  },
  TEST_GPUS: {
    key: 'machine.gpu',
    summary: 'That many simulated GPUs; 0 says nothing',
    parse: (text) => (text.trim() === '0' ? undefined : { mode: 'mock', count: numberFromText(text) }),
  },
  DEBUG_HOOK_BEFORE: {
    key: 'machine.pauseBefore',
    summary: 'Phases before which a boot pauses, separated by commas',
    parse: (text) =>
      text
        .split(',')
        .map((phase) => phase.trim())
        .filter(Boolean),
  },
  MACHINE_LOG_LEVEL: { key: 'logging.level', summary: "Least severe level in the daemon's log", parse: levelFromText },
  LOG_LEVEL: {
    key: 'logging.level',
    summary: "Least severe level in the daemon's log; wins over MACHINE_LOG_LEVEL",
    parse: levelFromText,
  },
  LOG_MAX_SIZE: {
    key: 'logging.maxSizeMiB',
    summary: 'Size at which a file of the day is cut, such as 20m',
    parse: mebibytesFromText,
  },
  LOG_MAX_FILES: { key: 'logging.maxDays', summary: 'Days a file is kept, such as 14d', parse: daysFromText },
};

/**
 * The predecessor's rule for every service with a port per GPU, whoever wrote it: `WORKER_BASE_<KIND>_PORT` is the port on
 * GPU 0. Who feeds the engine of GPU n is told that engine's own.
 */
function basePortVariable({ kind, schema, env = {} }: AnyServiceDefinition): Record<string, EnvironmentVariable> {
  const name = `WORKER_BASE_${kind.replaceAll('-', '_').toUpperCase()}_PORT`;
  if (!('basePort' in schema.shape) || name in env) return {};
  return { [name]: { key: 'basePort', summary: 'Port on GPU 0', parse: numberFromText } };
}

/** A variable and the path of the key it sets. */
export interface EnvironmentBinding extends EnvironmentVariable {
  readonly name: string;
  readonly path: readonly string[];
}

/** Every variable that is understood, the machine's first. */
export function environmentBindings(definitions: readonly AnyServiceDefinition[]): EnvironmentBinding[] {
  const bind = (variables: Readonly<Record<string, EnvironmentVariable>>, below: readonly string[]) =>
    Object.entries(variables).map(
      ([name, variable]): EnvironmentBinding => ({ ...variable, name, path: [...below, ...variable.key.split('.')] }),
    );
  return [
    ...bind(machineEnvironment, []),
    ...definitions.flatMap((each) => bind({ ...basePortVariable(each), ...each.env }, ['services', each.kind])),
  ];
}

/** Where the environment says that the machine lies. */
export const rootInEnvironment = (env: Readonly<Record<string, string | undefined>>): string | undefined =>
  environmentBindings([])
    .filter(({ name, key }) => key === 'machine.root' && env[name])
    .map(({ name }) => env[name])
    .at(-1);
