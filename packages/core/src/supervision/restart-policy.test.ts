import { expect, test } from 'vitest';
import { pastFailure } from './restart-policy.ts';

test('what is remembered of a failure: when, how and for what kind of reason, none of its words', () => {
  const exit = { code: 1, signal: null, at: '2026-01-01T00:00:00.000Z', run: 'r', uptimeMs: 5 };
  const full = { code: 'CORE_UNEXPECTED', message: 'ENOSPC: no space', retryable: false, details: { errno: 'ENOSPC' } };
  const cause = { code: 'CORE_LOG', message: 'no log', retryable: false, details: { errno: 'EIO' }, cause: full };
  const details = { lastLines: ['x'.repeat(1_000)] };
  const error = { code: 'CORE_PROCESS_SPAWN', message: 'it failed', hint: 'mend it', retryable: true, details, cause };
  const failure = { instance: 'a', kind: 'a', gpu: 0, error, exit, startedAt: 1, readyMs: 2, endedAt: 4 };
  expect(pastFailure(failure)).toEqual({
    error: { code: 'CORE_PROCESS_SPAWN', retryable: true, errnos: ['EIO', 'ENOSPC'] },
    exit,
    startedAt: 1,
    readyMs: 2,
    endedAt: 4,
  });
});
