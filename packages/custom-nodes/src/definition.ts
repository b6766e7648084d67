import { existsSync } from 'node:fs';
import {
  booleanFromText,
  defineService,
  type EnvironmentVariable,
  type Finding,
  findingOf,
  type ServiceContext,
} from '@mgpu/core';
import { customNodesSchema } from './config.ts';
import { CustomNodesService, listPath } from './custom-nodes-service.ts';
import type { NodeSite } from './site.ts';

export interface CustomNodesHost {
  /** The engine whose nodes are meant; asked once per instance. Undefined where there is none. */
  readonly site: (context: ServiceContext) => NodeSite | undefined;
  /** What `${VAR}` in the `env` of a node stands for. Default: the environment of the context. */
  readonly variables?: Readonly<Record<string, string | undefined>>;
}

const testMode = (summary: string): EnvironmentVariable => ({
  key: 'testMode',
  summary,
  parse: (text) => (text.trim() === '' ? undefined : booleanFromText(text)),
});

/** The service as part of a machine. */
export const customNodes = ({ site, variables }: CustomNodesHost) =>
  defineService({
    api: 1,
    kind: 'custom-nodes',
    summary: "Brings ComfyUI's custom nodes to what a list says",
    scope: 'machine',
    schema: customNodesSchema,
    env: {
      AWS_TEST_MODE: testMode('The list for tests (former name)'),
      AZURE_TEST_MODE: testMode('The list for tests (former name)'),
      STORAGE_TEST_MODE: testMode('The list for tests, config_nodes_test.json'),
    },
    phase: 'custom nodes',
    critical: false,
    dependsOn: [
      { on: 'git-access', when: 'ready' },
      { on: 'preinstalled-nodes', when: 'settled' },
    ],
    create: ({ enabled: _, ...config }, context) => new CustomNodesService(config, context, site(context), variables),
    async doctor(config, { layout }): Promise<readonly Finding[]> {
      const path = listPath(config, { layout });
      try {
        if (!existsSync(path)) return [{ level: 'ok', message: `custom-nodes: there is no list at ${path}` }];
        const { readListFile } = await import('./loaded-on-demand.ts');
        const list = await readListFile(path);
        const problems = [...list.invalid.map(({ error }) => error.message), ...list.warnings];
        const { length } = list.entries;
        if (problems.length === 0) return [{ level: 'ok', message: `custom-nodes: ${path} has ${length} nodes` }];
        return problems.map((message) => ({
          level: 'warning',
          message: `custom-nodes: ${message}`,
          hint: `correct ${path}`,
        }));
      } catch (error) {
        return [findingOf(error, 'error')];
      }
    },
  });
