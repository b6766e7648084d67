import { expect, test } from 'vitest';
import { cudaFault } from './cuda-fault.ts';

const advice =
  'CUDA kernel errors might be asynchronously reported at some other API call.\nCompile with `TORCH_USE_CUDA_DSA` to enable device-side assertions.\n';

test.each([
  ['CUDA out of memory. Tried to allocate 2.00 GiB', 'out-of-memory'],
  [`CUDA error: out of memory\n${advice}`, 'out-of-memory'],
  ['Allocation on device ', 'out-of-memory'],
  [`CUDA error: device-side assert triggered\n${advice}`, 'poisoned'],
  [`CUDA error: an illegal memory access was encountered\n${advice}`, 'poisoned'],
  ['CUDA error: unspecified launch failure', 'poisoned'],
  [`CUDA error: invalid argument\n${advice}`, undefined],
  ['got prompt', undefined],
])('%j is %s', (text, fault) => {
  expect(cudaFault(text)).toBe(fault);
});
