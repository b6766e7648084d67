import type { MgpuError } from '@mgpu/core/jobs';
import type { ExecutionError } from '../client/types.ts';
import { ComfyUIEngineFaultError, ComfyUIExecutionFailedError, ComfyUIOutOfMemoryError } from '../errors.ts';

const outOfMemory = /OutOfMemoryError|CUBLAS_STATUS_ALLOC_FAILED|(CUDA|HIP)[^\n]*out of memory|Allocation on device/i;

/** After these the CUDA context of the process is broken: everything that follows fails as well. */
const brokenGpu = new RegExp(
  [
    'illegal memory access',
    'device-side assert',
    'unspecified launch failure',
    'misaligned address',
    'illegal instruction',
    'illegal address',
    'invalid program counter',
    'uncorrectable (ECC|NVLink) error',
    'CUDA-capable device\\(s\\) is/are busy or unavailable',
    'no CUDA-capable device',
    'GPU is lost',
    'CUDA driver error',
    '(CUDA|HIP) error: (unknown error|the launch timed out)',
    'CUBLAS_STATUS_(EXECUTION_FAILED|NOT_INITIALIZED|INTERNAL_ERROR)',
    'CUDNN_STATUS_(EXECUTION_FAILED|INTERNAL_ERROR)',
  ].join('|'),
  'i',
);

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
  const text = `${exceptionType}: ${exceptionMessage}`;
  if (brokenGpu.test(text)) return new ComfyUIEngineFaultError({ ...details, fault: 'engine-fault' });
  if (outOfMemory.test(text)) return new ComfyUIOutOfMemoryError(details);
  return new ComfyUIExecutionFailedError(details);
}
