/**
 * `out-of-memory`: the process goes on, and may succeed with less. `poisoned`: its CUDA context is broken, everything
 * that follows fails as well.
 */
export type CudaFault = 'out-of-memory' | 'poisoned';

const outOfMemory = /OutOfMemoryError|CUBLAS_STATUS_ALLOC_FAILED|(CUDA|HIP)[^\n]*out of memory|Allocation on device/i;

const poisoned = new RegExp(
  [
    'illegal memory access',
    'device-side assert(?!ions)', // torch explains how to enable "device-side assertions" below every CUDA error
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

/** What an error text or a log line of an engine says about its GPU; undefined when nothing. */
export function cudaFault(text: string): CudaFault | undefined {
  if (poisoned.test(text)) return 'poisoned';
  return outOfMemory.test(text) ? 'out-of-memory' : undefined;
}
