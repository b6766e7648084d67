import type { EnvironmentVariable } from '../definition/define-service.ts';

/** The predecessors' names for what is called otherwise here. Their simulations are no connectors: simulated engines do real jobs. */
const formerNames: Readonly<Record<string, readonly string[]>> = {
  automatic1111: ['a1111'],
  'emprops-app': ['comfyui', 'a1111'],
  mock: [],
  simulation: [],
  'simulation-http': [],
  'simulation-websocket': [],
};

/** The names in `WORKERS` or `WORKER_CONNECTORS`, such as `comfyui:2,a1111:auto`, as they were written, without counts. */
export const connectorNames = (text: string): readonly string[] =>
  text
    .split(/[\s,]+/)
    .map((item) => item.replace(/:.*$/s, '').toLowerCase())
    .filter((name) => name !== '');

/** The kinds of engines that such a text means; `auto` alone is all there are. */
export function connectorsFromText(text: string): 'all' | readonly string[] {
  const names = connectorNames(text);
  return names.includes('auto') ? 'all' : [...new Set(names.flatMap((name) => formerNames[name] ?? [name]))];
}

/**
 * The variables that name an engine among others, as those of one engine: what `WORKERS` names runs and nothing else does, what
 * `WORKER_CONNECTORS` names runs as well. Both are silent where the file or the engine's own variable, which has to come before
 * these, says whether it is enabled.
 */
export function enabledByConnectors(kind: string): Readonly<Record<string, EnvironmentVariable>> {
  const unlessSaid = (decide: (isNamed: boolean) => boolean | undefined) => (text: string, soFar?: unknown) => {
    const { services } = soFar as { services?: Record<string, { enabled?: unknown } | null> };
    const kinds = connectorsFromText(text);
    if (kinds === 'all' || services?.[kind]?.enabled !== undefined) return undefined;
    return decide(kinds.includes(kind));
  };
  return {
    WORKERS: {
      key: 'enabled',
      summary: 'On where it is named there, else off',
      parse: unlessSaid((isNamed) => isNamed),
    },
    WORKER_CONNECTORS: {
      key: 'enabled',
      summary: 'On where it is named there',
      parse: unlessSaid((isNamed) => isNamed || undefined),
    },
  };
}
