export { type Abortable, ComfyUIClient, type SubmitOptions, type UploadOptions } from './client/comfyui-client.ts';
export type { EventStream } from './client/event-stream.ts';
export type {
  EngineEvent,
  EngineFile,
  ExecutionError,
  HistoryEntry,
  NodeErrors,
  NodeOutput,
  NodeProgress,
  PromptGraph,
  PromptNode,
  Queue,
  QueueEntry,
  Submission,
  SystemStats,
} from './client/types.ts';
export { comfyui } from './comfyui.ts';
export { ComfyUIService } from './comfyui-service.ts';
export { type ComfyUIConfig, type ComfyUIOptions, type ComfyUISetup, comfyuiSchema } from './config.ts';
export { type ComfyUIJobInput, comfyuiJobInputSchema } from './connector/job-input.ts';
export * as comfyuiErrors from './errors.ts';
export { type RemoteComfyUIConfig, remoteComfyUISchema } from './remote/config.ts';
export { RemoteComfyUIService } from './remote/remote-comfyui-service.ts';
export { remoteComfyUI } from './remote-comfyui.ts';
