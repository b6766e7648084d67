import { expect, test } from 'vitest';
import type { EngineEvent } from '../client/types.ts';
import { ProgressMeter } from './progress-meter.ts';

const node = { class_type: 'X', inputs: {} };
const prompt_id = 'p';

test('nodes count as done by cache, by their end and by the next one', () => {
  const meter = new ProgressMeter({ 1: node, 2: node, 3: node, 4: node });
  const events: EngineEvent[] = [
    { type: 'execution_start', data: { prompt_id } },
    { type: 'execution_cached', data: { prompt_id, nodes: ['1'] } },
    { type: 'executing', data: { prompt_id, node: '2' } },
    { type: 'progress', data: { prompt_id, node: '2', value: 5, max: 10 } },
    { type: 'executing', data: { prompt_id, node: '3' } },
    { type: 'executed', data: { prompt_id, node: '3', output: null } },
    { type: 'executing', data: { prompt_id, node: 'expanded-1' } },
    { type: 'execution_success', data: { prompt_id } },
  ];
  expect(events.map((event) => meter.see(event))).toEqual([
    { percent: 0 },
    { percent: 25 },
    { percent: 25, node: '2' },
    { percent: 37.5, node: '2', step: 5, steps: 10 },
    { percent: 50, node: '3' },
    undefined,
    { percent: 75, node: 'expanded-1' },
    { percent: 100 },
  ]);
});

test('steps are not forgotten between two reports of the same node', () => {
  const meter = new ProgressMeter({ 1: node });
  const state = (value: number, max: number, of = 'running'): EngineEvent => ({
    type: 'progress_state',
    data: { prompt_id, nodes: { 1: { value, max, state: of, node_id: '1' } } },
  });
  expect(meter.see(state(3, 4))).toEqual({ percent: 75, node: '1', step: 3, steps: 4 });
  expect(meter.see({ type: 'executing', data: { prompt_id, node: '1' } })).toEqual({
    percent: 75,
    node: '1',
    step: 3,
    steps: 4,
  });
  expect(meter.see(state(4, 4, 'finished'))).toEqual({ percent: 100 });
});

test('an engine that does everything again takes nothing back', () => {
  const meter = new ProgressMeter({ 1: node, 2: node });
  const run: EngineEvent[] = [
    { type: 'execution_start', data: { prompt_id } },
    { type: 'executing', data: { prompt_id, node: '1' } },
    { type: 'executing', data: { prompt_id, node: '2' } },
  ];
  const percents = [...run, ...run].map((event) => meter.see(event)?.percent);
  expect(percents).toEqual([0, 0, 50, 50, 50, 50]);
});
