import { join } from 'node:path';

/** What `ollama serve` makes of its environment: the variables that have an effect here. */
export interface Environment {
  readonly host: string;
  readonly port: number;
  readonly home: string;
  readonly models: string;
  /** Milliseconds; infinite for ever. */
  readonly keepAliveMs: number;
  readonly parallel: number;
  readonly maxLoaded: number;
  readonly maxQueue: number;
  readonly contextLength: number;
  readonly prune: boolean;
  readonly onGpu: boolean;
  /** Of several values Ollama logs at its start. */
  readonly shown: Readonly<Record<string, string>>;
}

const defaultPort = 11_434;

/** Throws what is said before the exit with code 1. */
export function readEnvironment(env: NodeJS.ProcessEnv): Environment {
  const { HOME: home, OLLAMA_MODELS: models } = env;
  if (home === undefined || home === '') throw new Error('$HOME is not defined');
  const { host, port } = readHost(env.OLLAMA_HOST ?? '');
  const gpus = env.CUDA_VISIBLE_DEVICES?.split(',').filter((each) => each !== '' && each !== '-1') ?? ['all'];
  const number = (name: string, otherwise: number) => {
    const value = Number(env[name] ?? '');
    return Number.isInteger(value) && value > 0 ? value : otherwise;
  };
  const shown = Object.entries(env).filter(([name]) => name.startsWith('OLLAMA_') || name.endsWith('_VISIBLE_DEVICES'));
  return {
    host,
    port,
    home,
    models: models || join(home, '.ollama', 'models'),
    keepAliveMs: readDuration(env.OLLAMA_KEEP_ALIVE || '5m') ?? 300_000,
    parallel: number('OLLAMA_NUM_PARALLEL', 1),
    maxLoaded: number('OLLAMA_MAX_LOADED_MODELS', 3 * Math.max(1, gpus.length)),
    maxQueue: number('OLLAMA_MAX_QUEUE', 512),
    contextLength: number('OLLAMA_CONTEXT_LENGTH', 4_096),
    prune: !/^(1|t|true)$/i.test(env.OLLAMA_NOPRUNE ?? ''),
    onGpu: gpus.length > 0,
    shown: Object.fromEntries(shown) as Record<string, string>,
  };
}

/** `host`, `host:port`, `:port` or a URL; the default port for one that is none. */
function readHost(text: string): { host: string; port: number } {
  const bare = text
    .trim()
    .replace(/^["']|["']$/g, '')
    .replace(/^(https?):\/\//, '')
    .replace(/\/.*$/, '');
  const [, bracketed, plain = '', digits] = /^(?:\[(.*)\]|([^:]*))(?::(.*))?$/.exec(bare) ?? [];
  const port = Number(digits ?? defaultPort);
  const isPort = digits !== '' && Number.isInteger(port) && port >= 0 && port <= 65_535;
  return { host: bracketed || plain || '127.0.0.1', port: isPort ? port : defaultPort };
}

const unitMs: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
};

/** Go's duration (`1h30m`) or a number of seconds, in milliseconds; negative is for ever. Undefined for neither. */
export function readDuration(value: unknown): number | undefined {
  if (typeof value === 'number') return value < 0 ? Number.POSITIVE_INFINITY : value * 1_000;
  if (typeof value !== 'string') return undefined;
  if (/^-?\d+$/.test(value)) return readDuration(Number(value));
  if (!/^-?(\d+(\.\d+)?(ns|us|µs|ms|s|m|h))+$/.test(value)) return undefined;
  if (value.startsWith('-')) return Number.POSITIVE_INFINITY;
  const parts = value.matchAll(/(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/g);
  return [...parts].reduce((sum, [, number, unit = '']) => sum + Number(number) * (unitMs[unit] ?? 0), 0);
}
