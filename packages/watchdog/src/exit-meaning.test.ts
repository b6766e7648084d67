import { expect, test } from 'vitest';
import { type Exit, exitMeaning } from './exit-meaning.ts';

const exit = (code: number | null, signal: string | null = null, more: Partial<Exit> = {}): Exit => ({
  instance: 'comfyui_gpu0',
  pid: 4711,
  code,
  signal,
  ...more,
});

test.each([
  [exit(null, 'SIGKILL'), 'comfyui_gpu0 was killed, and not by us (signal SIGKILL)'],
  [exit(137), 'comfyui_gpu0 was killed, and not by us (exit code 137)'],
  [exit(139), 'comfyui_gpu0 crashed with a memory access violation (exit code 139)'],
  [exit(null, 'SIGSEGV'), 'comfyui_gpu0 crashed with a memory access violation (signal SIGSEGV)'],
  [exit(134), 'comfyui_gpu0 gave up by itself (abort) (exit code 134)'],
  [exit(143), 'comfyui_gpu0 was told to end, and not by us (exit code 143)'],
  [exit(127), 'comfyui_gpu0 could not run its program (exit code 127)'],
  [exit(78), 'comfyui_gpu0 refuses its configuration (exit code 78)'],
])('%j', (sample, reason) => {
  expect(exitMeaning(sample)).toMatchObject({ reason, evidence: expect.stringMatching(/^pid 4711: /) });
});

test('the kernel says when it was for memory', () => {
  const line = 'Out of memory: Killed process 4711 (python3) total-vm:31763532kB, anon-rss:13928044kB';
  expect(exitMeaning(exit(null, 'SIGKILL', { oomKill: { limit: 'machine', line } }))).toMatchObject({
    reason: 'comfyui_gpu0 was killed by the kernel: the machine ran out of memory (signal SIGKILL)',
    evidence: line,
  });
  expect(exitMeaning(exit(137, null, { oomKill: { limit: 'cgroup', line } }))?.reason).toContain(
    "the container's memory limit was reached",
  );
});

test.each([0, 1, 3])('exit code %i says nothing', (code) => {
  expect(exitMeaning(exit(code))).toBeUndefined();
});
