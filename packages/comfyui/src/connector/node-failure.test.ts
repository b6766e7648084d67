import { faultOf } from '@mgpu/core/jobs';
import { expect, test } from 'vitest';
import { nodeFailure } from './node-failure.ts';

const fail = (exception_type: string, exception_message: string) =>
  nodeFailure('comfyui_gpu0', { node_id: '3', node_type: 'KSampler', exception_type, exception_message });

test('who is to blame', () => {
  const blamed = (type: string, message: string) => faultOf(fail(type, message));
  expect(blamed('ValueError', 'bad seed\n')).toBe('permanent');
  expect(blamed('torch.OutOfMemoryError', 'Allocation on device \nThis error means')).toBe('retryable');
  expect(blamed('torch.cuda.OutOfMemoryError', 'CUDA out of memory. Tried to allocate')).toBe('retryable');
  expect(blamed('RuntimeError', 'CUDA error: out of memory')).toBe('retryable');
  expect(blamed('RuntimeError', 'CUDA error: device-side assert triggered')).toBe('engine-fault');
  expect(blamed('torch.AcceleratorError', 'CUDA error: an illegal memory access was encountered')).toBe('engine-fault');
  expect(blamed('RuntimeError', 'CUDA error: unspecified launch failure')).toBe('engine-fault');
});

test('the message is one sentence and says where', () => {
  expect(fail('ValueError', 'bad seed\n').message).toBe(
    'comfyui_gpu0: node 3 (KSampler) failed with ValueError: bad seed',
  );
  expect(nodeFailure('e', {}).message).toBe('e: node unknown (unknown) failed with an unknown exception: no message');
});
