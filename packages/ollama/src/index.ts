export { reachableHost } from './address.ts';
export { type Abortable, OllamaClient } from './client/ollama-client.ts';
export type {
  ChatPart,
  ChatRequest,
  CreateRequest,
  Embeddings,
  EmbedRequest,
  GeneratePart,
  GenerateRequest,
  Message,
  Metrics,
  Model,
  ModelDetails,
  ModelInfo,
  Progress,
  RunningModel,
  ToolCall,
} from './client/types.ts';
export { type OllamaConfig, type OllamaOptions, ollamaSchema } from './config.ts';
export { type OllamaJobInput, ollamaJobInputSchema } from './connector/job-input.ts';
export * as ollamaErrors from './errors.ts';
export { ollama } from './ollama.ts';
export { modelsDirOf, type OllamaEvents, OllamaService } from './ollama-service.ts';
export type { PullReport } from './preload.ts';
export { lockPulls, type PullLockOptions } from './pull-lock.ts';
