import { expect, test } from 'vitest';
import { type ExitSample, processExit } from './process-exit.ts';

const exit = (code: number | null, signal: string | null = null, more: Partial<ExitSample> = {}): ExitSample => ({
  at: 0,
  instance: 'comfyui_gpu0',
  pid: 4711,
  code,
  signal,
  sentByUs: false,
  ...more,
});

test.each([
  [exit(null, 'SIGKILL'), 'restart', 'comfyui_gpu0 was killed, and not by us (signal SIGKILL)'],
  [exit(137), 'restart', 'comfyui_gpu0 was killed, and not by us (exit code 137)'],
  [exit(139), 'restart', 'comfyui_gpu0 crashed with a memory access violation (exit code 139)'],
  [exit(null, 'SIGSEGV'), 'restart', 'comfyui_gpu0 crashed with a memory access violation (signal SIGSEGV)'],
  [exit(134), 'restart', 'comfyui_gpu0 gave up by itself (abort) (exit code 134)'],
  [exit(143), 'restart', 'comfyui_gpu0 was told to end, and not by us (exit code 143)'],
  [exit(127), 'record', 'comfyui_gpu0 could not run its program (exit code 127)'],
  [exit(78), 'record', 'comfyui_gpu0 refuses its configuration (exit code 78)'],
])('%j', (sample, action, reason) => {
  expect(processExit([sample])).toMatchObject([{ rule: 'process-exit', scope: 'process', action, reason }]);
});

test('the kernel says when it was for memory', () => {
  const line = 'Out of memory: Killed process 4711 (python3) total-vm:31763532kB, anon-rss:13928044kB';
  expect(processExit([exit(null, 'SIGKILL', { oomKill: { limit: 'machine', line } })])).toMatchObject([
    {
      rule: 'oom-kill',
      action: 'restart',
      reason: 'comfyui_gpu0 was killed by the kernel: the machine ran out of memory (signal SIGKILL)',
      evidence: [line],
    },
  ]);
  expect(processExit([exit(137, null, { oomKill: { limit: 'cgroup', line } })])[0]?.reason).toContain(
    "the container's memory limit was reached",
  );
});

test('what we sent ourselves, and plain exits, say nothing', () => {
  expect(processExit([exit(null, 'SIGKILL', { sentByUs: true })])).toEqual([]);
  for (const code of [0, 1, 3]) expect(processExit([exit(code)])).toEqual([]);
});
