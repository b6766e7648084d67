import { expect, test } from 'vitest';
import { lineLevel } from './line-level.ts';

test.each([
  // Ours
  ['info', '{"level":"info","message":"up","timestamp":"2026-11-26T12:00:00.000Z"}'],
  ['error', '{"timestamp":"2026-11-26T12:00:00.000Z","level":"error","message":"level=debug"}'],
  // Python's logging, bare, as basicConfig has it, with a formatter; uvicorn
  ['warn', 'WARNING: no GPU'],
  ['error', 'ERROR:root:it failed'],
  ['error', 'CRITICAL:torch:out'],
  ['info', 'INFO:     127.0.0.1:51234 - "GET / HTTP/1.1" 200 OK'],
  ['warn', '2026-11-26 12:00:00,123 - httpx - WARNING - slow'],
  ['debug', '2026-11-26 12:00:00 | DEBUG | module:function:10 - x'],
  ['error', '[2026-11-26 12:00:00,123] [ERROR] [engine.py:10] x'],
  ['error', '\u001B[31mERROR\u001B[0m: in colour'],
  ['error', 'Traceback (most recent call last):'],
  ['error', 'RuntimeError: CUDA error: an illegal memory access was encountered'],
  ['error', 'torch.cuda.OutOfMemoryError: CUDA out of memory.'],
  ['error', 'KeyboardInterrupt'],
  ['warn', '/venv/lib/python3.12/site-packages/torch/x.py:12: FutureWarning: `x` is deprecated'],
  // ComfyUI and its nodes
  ['info', 'got prompt'],
  ['info', 'Prompt executed in 3.21 seconds'],
  ['error', '!!! Exception during processing !!! bad'],
  ['error', 'Failed to validate prompt for output 9:'],
  ['error', 'Cannot import /ComfyUI/custom_nodes/x module for custom nodes: no module named y'],
  ['warn', '[ComfyUI-Manager] WARNING: old'],
  ['info', ' 45%|████▌     | 9/20 [00:01<00:01,  8.10it/s]'],
  // Automatic1111
  ['error', '*** Error loading embedding x'],
  ['info', 'Loading weights [6ce0161689] from /models/v1-5.safetensors'],
  ['info', 'Total progress:  50%|█████     | 10/20 [00:02<00:02,  4.5it/s]'],
  // Ollama, nginx, Redis, glog
  ['warn', 'time=2026-11-26T12:00:00.000Z level=WARN source=sched.go:1 msg="slow"'],
  ['info', '[GIN] 2026/11/26 - 12:00:00 | 200 | 1ms | 127.0.0.1 | GET "/"'],
  ['error', '2026/11/26 12:00:00 [error] 123#0: *1 connect() failed'],
  ['warn', '1:M 26 Nov 2026 12:00:00.000 # WARNING Memory overcommit must be enabled!'],
  ['info', '1:M 26 Nov 2026 12:00:00.000 * Ready to accept connections tcp'],
  ['error', 'F1126 12:00:00.000000 1 x.cc:1] dead'],
  ['error', 'error: not found'],
  ['error', 'panic: runtime error: index out of range'],
])('%s: %s', (level, text) => {
  expect(lineLevel(text)).toBe(level);
});

test.each([
  '  File "/ComfyUI/execution.py", line 10, in execute',
  '    raise ValueError("ERROR: x")',
  'no errors were found, no warning either',
  'Error handling is on',
  'INFORMATION about the model',
  'model_type EPS',
  'an ERROR in the middle of a sentence',
  '',
])('none: %j', (text) => {
  expect(lineLevel(text)).toBeUndefined();
});
