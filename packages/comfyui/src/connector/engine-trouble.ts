import type { MgpuError } from '@mgpu/core/jobs';
import { ComfyUIBadAnswerError, ComfyUIUnreachableError } from '../errors.ts';

/** The engine is away or talks nonsense: it may be asked again. */
export const isEngineTrouble = (error: unknown): error is MgpuError =>
  error instanceof ComfyUIUnreachableError || error instanceof ComfyUIBadAnswerError;

/** Nobody was there, so nothing of the request was heard. */
export const wasNotHeard = ({ cause }: MgpuError): boolean => {
  const { code } = (cause ?? {}) as NodeJS.ErrnoException;
  return code === 'ECONNREFUSED' || code === 'UND_ERR_CONNECT_TIMEOUT';
};
