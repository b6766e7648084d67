import type { MgpuError } from '@mgpu/core/jobs';
import { ComfyUIBadAnswerError, ComfyUIUnreachableError } from '../errors.ts';

/** The engine is away or talks nonsense: it may be asked again. */
export const isEngineTrouble = (error: unknown): error is MgpuError =>
  error instanceof ComfyUIUnreachableError || error instanceof ComfyUIBadAnswerError;
