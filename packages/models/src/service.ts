// The services apart from the store: light enough for every start of a machine.
export {
  type ModelsConfig,
  type ModelsInput,
  modelsSchema,
  type StaticModelsConfig,
  staticModelsSchema,
} from './config.ts';
export { models, staticModels } from './definition.ts';
export { type ModelsOptions, ModelsService } from './models-service.ts';
export { type StaticModelsOptions, StaticModelsService } from './static-models-service.ts';
