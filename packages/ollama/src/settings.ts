import { booleanFromText, type EnvironmentVariable, numberFromText } from '@mgpu/core';
import { z } from 'zod';

/** Go's duration, or a number of seconds; negative is for ever. */
const duration = z.union([z.number(), z.string().regex(/^-?(\d+(\.\d+)?(ns|us|µs|ms|s|m|h))+$/)], {
  error: 'must be seconds or a duration such as 5m or 1h30m; negative is for ever',
});
const natural = z.number().int().nonnegative();

/**
 * Ollama's own settings and the variable each is given by. Source: `envconfig/config.go` of Ollama 0.32. Whatever is left out is
 * Ollama's default.
 */
const table = {
  keepAlive: ['OLLAMA_KEEP_ALIVE', duration, 'How long a model stays in memory after its last request; Ollama: 5m'],
  numParallel: ['OLLAMA_NUM_PARALLEL', natural, 'Requests that a loaded model does at once; Ollama: 1'],
  maxLoadedModels: ['OLLAMA_MAX_LOADED_MODELS', natural, 'Models in memory at once; 0 is 3 per GPU'],
  maxQueue: ['OLLAMA_MAX_QUEUE', natural, 'Requests that may wait; Ollama: 512'],
  loadTimeout: ['OLLAMA_LOAD_TIMEOUT', duration, 'How long the loading of a model may stall; Ollama: 5m'],
  contextLength: ['OLLAMA_CONTEXT_LENGTH', natural, 'Tokens of context; 0 is by the memory of the GPU'],
  gpuOverhead: ['OLLAMA_GPU_OVERHEAD', natural, 'Bytes kept free on each GPU'],
  schedSpread: ['OLLAMA_SCHED_SPREAD', z.boolean(), 'Spread a model over all GPUs even where one would do'],
  flashAttention: ['OLLAMA_FLASH_ATTENTION', z.boolean(), 'Flash attention; Ollama: where it helps'],
  kvCacheType: ['OLLAMA_KV_CACHE_TYPE', z.enum(['f16', 'q8_0', 'q4_0']), 'Type of the K/V cache; Ollama: f16'],
  llmLibrary: ['OLLAMA_LLM_LIBRARY', z.string().min(1), 'Backend to use, e.g. cuda_v13 or cpu'],
  origins: ['OLLAMA_ORIGINS', z.string().min(1), 'Further origins that browsers may ask from, separated by commas'],
  noCloud: ['OLLAMA_NO_CLOUD', z.boolean(), 'No remote models'],
  remotes: ['OLLAMA_REMOTES', z.string().min(1), 'Hosts that remote models may come from, separated by commas'],
  vulkan: ['OLLAMA_VULKAN', z.boolean(), 'Use Vulkan'],
  igpu: ['OLLAMA_IGPU_ENABLE', z.boolean(), 'Use integrated GPUs'],
  maxTransferStreams: ['OLLAMA_MAX_TRANSFER_STREAMS', natural, 'Parts of a model that are pulled at once'],
  debug: ['OLLAMA_DEBUG', z.union([z.boolean(), z.literal(2)]), 'More in its log; 2: everything'],
  debugLogRequests: ['OLLAMA_DEBUG_LOG_REQUESTS', z.boolean(), 'Keep the requests in files'],
} as const satisfies Record<string, readonly [string, z.ZodType, string]>;

type Table = typeof table;
type Key = keyof Table;

const entries = Object.entries(table) as [Key, Table[Key]][];

/** Configuration under `services.ollama.settings`. */
export const settingsSchema = z.strictObject(
  Object.fromEntries(
    entries.map(([key, [variable, type, meaning]]) => [key, type.optional().describe(`${meaning} (${variable})`)]),
  ) as { [K in Key]: z.ZodOptional<Table[K][1]> },
);

export type OllamaSettings = z.output<typeof settingsSchema>;

/** The environment that gives Ollama these settings. */
export const settingsEnvironment = (settings: OllamaSettings): Readonly<Record<string, string>> =>
  Object.fromEntries(
    entries.flatMap(([key, [variable]]) => (settings[key] === undefined ? [] : [[variable, textOf(settings[key])]])),
  );

const textOf = (value: unknown) => (typeof value === 'boolean' ? String(Number(value)) : String(value));

/** The same variables as they are understood when they are set for the machine. */
export const settingsVariables: Readonly<Record<string, EnvironmentVariable>> = Object.fromEntries(
  entries.map(([key, [variable, type, summary]]) => [
    variable,
    { key: `settings.${key}`, summary, parse: (text: string) => parseAs(type, text) },
  ]),
);

/** `1` is a number of seconds, a count, or yes, whatever the setting has use for. */
function parseAs(type: z.ZodType, text: string): unknown {
  const readings = [numberFromText(text), booleanFromText(text), text];
  return readings.find((each) => type.safeParse(each).success) ?? text;
}
