import { PythonError, pyRepr } from '../python/values.ts';
import type { Log } from './log.ts';
import { traceback } from './traceback.ts';

/** A node was stopped by `/interrupt`. */
export class Interrupted extends Error {}

const MEMORY_HINT =
  '\nThis error means you ran out of memory on your GPU.\n\nTIPS: If the workflow worked before you might have accidentally set the batch_size to a large number.';

/** The part of an `execution_error` that the exception decides; also writes the lines that the real server logs. */
export function describeFailure(error: unknown, inputs: Record<string, unknown>, log: Log) {
  const type = error instanceof PythonError ? error.type : 'RuntimeError';
  const message = error instanceof Error ? error.message : String(error);
  const noMemory = type.endsWith('OutOfMemoryError');
  const trace = traceback('execution.py', 545, 'execute');
  log.error(`!!! Exception during processing !!! ${message}`);
  log.error(`Traceback (most recent call last):\n${trace.join('')}${type}: ${message}\n`);
  if (noMemory) log.error('Got an OOM, unloading all loaded models.');
  return {
    exception_message: `${message}${noMemory ? MEMORY_HINT : '\n'}`,
    exception_type: type,
    traceback: trace,
    current_inputs: Object.fromEntries(Object.entries(inputs).map(([name, value]) => [name, [show(value)]])),
  };
}

function show(value: unknown): unknown {
  if (value === null || value === undefined) return null;
  if (typeof value !== 'object') return value;
  const { kind, batch, width, height } = value as Record<string, unknown>;
  return kind === undefined
    ? pyRepr(value)
    : `<${String(kind)} ${[batch, height, width].filter((size) => size !== undefined).join('x')}>`;
}
