import { expect, test } from 'vitest';
import { promptRefusal } from './prompt-refusal.ts';

test('an unknown node is named, however the version says it', () => {
  const old = {
    error: {
      type: 'invalid_prompt',
      message: 'Cannot execute because node X does not exist.',
      details: "Node ID '#7'",
    },
  };
  const prompt = { 7: { class_type: 'X', inputs: {} } };
  expect(promptRefusal(JSON.stringify(old), prompt)?.message).toBe(
    'ComfyUI refused the workflow: node 7 (X): Cannot execute because node X does not exist.',
  );
  const info = { node_id: '7', class_type: 'X', node_title: 'X' };
  const recent = {
    error: { type: 'missing_node_type', message: "Node 'X' not found.", details: '', extra_info: info },
    node_errors: {},
  };
  expect(promptRefusal(JSON.stringify(recent), prompt)?.message).toBe(
    "ComfyUI refused the workflow: node 7 (X): Node 'X' not found.",
  );
});

test('every problem is kept, the first is told', () => {
  const errors = [
    {
      type: 'value_smaller_than_min',
      message: 'Value 0 smaller than min of 1',
      details: 'width',
      extra_info: { input_name: 'width' },
    },
    {
      type: 'value_not_in_list',
      message: 'Value not in list',
      details: "name: 'x' not in ['a']",
      extra_info: { input_name: 'name' },
    },
  ];
  const body = {
    error: { type: 'prompt_outputs_failed_validation', message: 'failed' },
    node_errors: { 1: { class_type: 'EmptyImage', errors } },
  };
  const refusal = promptRefusal(JSON.stringify(body), {});
  expect(refusal?.message).toBe(
    'ComfyUI refused the workflow: node 1 (EmptyImage), input "width": Value 0 smaller than min of 1 (and 1 more)',
  );
  expect(refusal?.details).toMatchObject({
    problems: [expect.any(String), `node 1 (EmptyImage), input "name": Value not in list (name: 'x' not in ['a'])`],
    nodeErrors: body.node_errors,
  });
});

test('lists of options do not make an error of megabytes', () => {
  const extra_info = {
    input_name: 'ckpt',
    input_config: [Array.from({ length: 9_000 }, (_, at) => `model-${at}.safetensors`)],
  };
  const errors = [{ type: 'value_not_in_list', message: 'Value not in list', details: '', extra_info }];
  const refusal = promptRefusal(JSON.stringify({ error: 'no', node_errors: { 1: { class_type: 'L', errors } } }), {});
  expect(refusal?.details.nodeErrors).toEqual({
    1: { class_type: 'L', errors: [{ ...errors[0], extra_info: { input_name: 'ckpt' } }] },
  });
});

test('what is not the engine’s own refusal is none', () => {
  for (const body of ['', 'Bad Request', '[]', '{"detail":1}']) expect(promptRefusal(body, {})).toBeUndefined();
});
