import type { MgpuError } from '@mgpu/core/jobs';
import { A1111BadAnswerError, A1111UnreachableError } from '../errors.ts';

/** The engine is away or talks nonsense: it may be asked again. */
export const isEngineTrouble = (error: unknown): error is MgpuError =>
  error instanceof A1111UnreachableError || error instanceof A1111BadAnswerError;
