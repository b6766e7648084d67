import { systemClock } from '@mgpu/core/jobs';
import { expect, test } from 'vitest';
import { PromptWatch } from './prompt-watch.ts';

const { signal } = new AbortController();
const prompt_id = 'p';
const failed = (exception_type: string) => ({
  type: 'execution_error' as const,
  data: { prompt_id, node_id: '2', node_type: 'X', exception_type, exception_message: 'no', traceback: [] },
});

test('a node that is blocked is not the end, one that fails is', async () => {
  const blocked = new PromptWatch(prompt_id, { isWhole: true, onEvent: () => {} });
  blocked.see(failed('ExecutionBlocked'));
  blocked.see({ type: 'execution_success', data: { prompt_id } });
  expect(await blocked.next(10_000, systemClock, signal)).toEqual({ end: 'success', outputs: {} });
  const broken = new PromptWatch(prompt_id, { isWhole: true, onEvent: () => {} });
  broken.see(failed('ValueError'));
  expect(await broken.next(10_000, systemClock, signal)).toMatchObject({ end: 'error' });
});
