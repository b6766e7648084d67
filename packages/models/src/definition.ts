import { existsSync } from 'node:fs';
import { defineService, type Finding, findingOf } from '@mgpu/core';
import { modelsSchema, staticModelsSchema } from './config.ts';
import { modelsEnvironment } from './environment.ts';
import { modelListPath, readListFile } from './list/read-list.ts';
import { ModelsService } from './models-service.ts';
import { StaticModelsService } from './static-models-service.ts';

/** Brings models at the start of a machine. */
export const models = defineService({
  api: 1,
  kind: 'models',
  summary: 'Folders of models, and the models that a list and a bucket name',
  scope: 'machine',
  schema: modelsSchema,
  env: modelsEnvironment,
  phase: 'model sync',
  critical: false,
  create: ({ enabled: _, ...config }, context) => new ModelsService(config, context),
  async doctor(config, { layout }): Promise<readonly Finding[]> {
    const path = modelListPath(config, layout);
    try {
      if (!existsSync(path)) return [{ level: 'ok', message: `models: there is no list at ${path}` }];
      const list = await readListFile(path);
      const problems = [...(list?.invalid.map(({ error }) => error.message) ?? []), ...(list?.warnings ?? [])];
      if (problems.length === 0)
        return [{ level: 'ok', message: `models: ${path} has ${list?.entries.length} models` }];
      return problems.map((message) => ({ level: 'warning', message: `models: ${message}`, hint: `correct ${path}` }));
    } catch (error) {
      return [findingOf(error, 'error')];
    }
  },
});

/** Makes the links of `static-models.json` once models are where they belong. */
export const staticModels = defineService({
  api: 1,
  kind: 'static-models',
  summary: 'Links between trees of models, as static-models.json says',
  scope: 'machine',
  schema: staticModelsSchema,
  phase: 'static model links',
  critical: false,
  dependsOn: [{ on: 'models', when: 'settled' }],
  create: ({ enabled: _, ...config }, context) => new StaticModelsService(config, context),
});
