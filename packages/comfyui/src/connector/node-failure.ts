import { cudaFault, type MgpuError } from '@mgpu/core/jobs';
import type { ExecutionError } from '../client/types.ts';
import { ComfyUIEngineFaultError, ComfyUIExecutionFailedError, ComfyUIOutOfMemoryError } from '../errors.ts';

const maxTracebackLines = 60;
const maxMessageChars = 2_000;

/** A node that failed, as an error that says whether the job, the moment or the engine is to blame. */
export function nodeFailure(engine: string, error: Partial<ExecutionError>): MgpuError {
  const exceptionMessage = (error.exception_message ?? 'no message').trim().slice(0, maxMessageChars);
  const exceptionType = error.exception_type ?? 'an unknown exception';
  const details = {
    engine,
    node: String(error.node_id ?? 'unknown'),
    nodeType: error.node_type ?? 'unknown',
    exceptionType,
    exceptionMessage,
    traceback: (Array.isArray(error.traceback) ? error.traceback : []).slice(-maxTracebackLines).map(String),
  };
  const fault = cudaFault(`${exceptionType}: ${exceptionMessage}`);
  if (fault === 'poisoned') return new ComfyUIEngineFaultError({ ...details, fault: 'engine-fault' });
  if (fault === 'out-of-memory') return new ComfyUIOutOfMemoryError(details);
  return new ComfyUIExecutionFailedError(details);
}
