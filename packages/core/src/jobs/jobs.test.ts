import { expect, test } from 'vitest';
import { MgpuError } from '../errors/mgpu-error.ts';
import { faultOf } from './connector.ts';
import { artifactSchema, jobListSchema, jobRequestSchema } from './job.ts';

test('what an error says of the fault decides; else whether it is worth a retry', () => {
  const fault = (details: Record<string, unknown>, retryable: boolean) =>
    faultOf(new MgpuError('x', { code: 'TEST', details, retryable }));
  expect(fault({ fault: 'engine-fault' }, false)).toBe('engine-fault');
  expect(fault({ fault: 'permanent' }, true)).toBe('permanent');
  expect(fault({ fault: 'nonsense' }, true)).toBe('retryable');
  expect(fault({}, false)).toBe('permanent');
});

test('a job needs a type and an input, and gets the version of the envelope', () => {
  expect(jobRequestSchema.parse({ type: 'comfyui', input: { a: 1 } })).toEqual({
    v: 1,
    type: 'comfyui',
    input: { a: 1 },
  });
});

test.each([
  ['a type that is no queue name', { type: 'Comfy UI', input: 1 }],
  ['a newer envelope', { v: 2, type: 'comfyui', input: 1 }],
  ['an unknown key', { type: 'comfyui', input: 1, priority: 1 }],
  ['a time limit that is none', { type: 'comfyui', input: 1, timeoutMs: 0 }],
])('a job with %s is refused', (_, request) => {
  expect(jobRequestSchema.safeParse(request).success).toBe(false);
});

test('a list is of all states and of fifty jobs unless it says otherwise', () => {
  const states = ['waiting', 'active', 'completed', 'failed', 'cancelled'];
  expect(jobListSchema.parse({ types: ['comfyui'] })).toEqual({ types: ['comfyui'], states, limit: 50 });
  expect(jobListSchema.parse({ types: [], states: ['failed'], limit: 500 })).toMatchObject({ states: ['failed'] });
});

test('an artifact carries its checksum', () => {
  const artifact = { name: 'a.png', path: '/a.png', mediaType: 'image/png', bytes: 1, sha256: 'a'.repeat(64) };
  expect(artifactSchema.parse(artifact)).toEqual(artifact);
  expect(artifactSchema.safeParse({ ...artifact, sha256: 'a' }).success).toBe(false);
});
