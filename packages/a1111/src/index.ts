export { a1111 } from './a1111.ts';
export { A1111Service } from './a1111-service.ts';
export { A1111Client, type Abortable } from './client/a1111-client.ts';
export { type LoadedModel, loadModel } from './client/load-model.ts';
export type { Checkpoint, Generated, GenerationRequest, Img2imgRequest, Progress } from './client/types.ts';
export { type A1111Config, type A1111Options, type A1111Setup, a1111Schema } from './config.ts';
export { type A1111JobInput, a1111JobInputSchema } from './connector/job-input.ts';
export * as a1111Errors from './errors.ts';
