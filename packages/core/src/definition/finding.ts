import { MgpuError } from '../errors/mgpu-error.ts';
import type { Finding } from './define-service.ts';

/** A failure that a check of `doctor` met, as what it found. What is no `MgpuError` is thrown on. */
export function findingOf(error: unknown, level: Finding['level']): Finding {
  if (!(error instanceof MgpuError)) throw error;
  const { message, hint } = error;
  return { level, message, ...(hint === undefined ? {} : { hint }) };
}
