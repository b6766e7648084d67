import { expect, test } from 'vitest';
import { cudaOutOfMemory } from './cuda-out-of-memory.ts';
import { cudaPoisoned } from './cuda-poisoned.ts';
import type { EngineFailure } from './engine-failure.ts';
import { jobFault } from './job-fault.ts';

// Texts as torch prints them in public reports; none was recorded on a device of ours.
const oom =
  'torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 23.64 GiB';
const illegal = 'RuntimeError: CUDA error: an illegal memory access was encountered';
const failure = (text: string, minute = 0, more: Partial<EngineFailure> = {}): EngineFailure => ({
  at: minute * 60_000,
  instance: 'comfyui_gpu0',
  text,
  ...more,
});

test('out of memory frees memory, and restarts at the third time in ten minutes', () => {
  const times = [failure(oom, 0), failure(oom, 4), failure(oom, 9), failure(oom, 30)];
  const actions = times.map((_, index) => cudaOutOfMemory(times.slice(0, index + 1))[0]?.action);
  expect(actions).toEqual(['relieve', 'relieve', 'restart', 'relieve']);
  expect(cudaOutOfMemory(times.slice(0, 3))[0]).toMatchObject({
    scope: 'process',
    subject: 'comfyui_gpu0',
    reason: 'comfyui_gpu0 ran out of GPU memory, 3 times in 10 min',
    evidence: [oom, oom, oom],
  });
});

test('out of memory is known by its code, too', () => {
  expect(cudaOutOfMemory([failure('no room', 0, { code: 'COMFYUI_OUT_OF_MEMORY' })])).toMatchObject([
    { action: 'relieve' },
  ]);
});

test('a CUDA error that sticks restarts that instance', () => {
  for (const sample of [failure(illegal), failure('anything', 0, { code: 'COMFYUI_ENGINE_FAULT' })])
    expect(cudaPoisoned([sample])).toMatchObject([{ scope: 'process', subject: 'comfyui_gpu0', action: 'restart' }]);
  expect(cudaPoisoned([failure(illegal), failure(oom)])).toEqual([]);
});

test('a job that fails by itself is for its worker', () => {
  const sample = failure('ValueError: bad seed', 0, { job: 'job-1' });
  expect(jobFault([sample])).toMatchObject([{ scope: 'job', action: 'tell-worker' }]);
  for (const rule of [cudaOutOfMemory, cudaPoisoned]) expect(rule([sample])).toEqual([]);
  for (const text of [oom, illegal]) expect(jobFault([{ ...sample, text }])).toEqual([]);
  expect(jobFault([failure('a line of its log')])).toEqual([]);
});
