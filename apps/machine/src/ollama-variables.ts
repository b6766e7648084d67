import type { MachineConfig } from '@mgpu/core';
import { type OllamaConfig, reachableHost } from '@mgpu/ollama';

const names = ['OLLAMA_HOST', 'OLLAMA_PORT', 'OLLAMA_DEFAULT_MODEL'] as const;
type Variables = Readonly<Record<string, string | undefined>>;

/**
 * What custom nodes are told of Ollama, in the predecessors' variables: where this machine's is, else what was set for one
 * elsewhere. Without it these would be taken from them, having become configuration.
 */
export function ollamaVariables({ services }: MachineConfig, env: Variables): Variables {
  const ollama = services.ollama as unknown as OllamaConfig | undefined;
  if (!ollama?.enabled)
    return Object.fromEntries(names.flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]]])));
  const { listen, defaultModel } = ollama;
  return {
    OLLAMA_HOST: reachableHost(listen.host),
    OLLAMA_PORT: String(listen.port),
    ...(defaultModel === undefined ? {} : { OLLAMA_DEFAULT_MODEL: defaultModel }),
  };
}
