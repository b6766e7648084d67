import type { EngineEvent } from './types.ts';

const known = new Set([
  'status',
  'execution_start',
  'execution_success',
  'execution_cached',
  'progress_state',
  'executing',
  'progress',
  'executed',
  'execution_error',
  'execution_interrupted',
  'feature_flags',
]);

/** A text or binary frame as an event; undefined when it is none. */
export function readEvent(frame: string | Uint8Array): EngineEvent | undefined {
  return typeof frame === 'string' ? readText(frame) : readBinary(frame);
}

function readText(frame: string): EngineEvent | undefined {
  let message: { type?: unknown; data?: unknown };
  try {
    message = JSON.parse(frame);
  } catch {
    return undefined; // the caller counts it as lost
  }
  const { type, data } = message ?? {};
  if (typeof type !== 'string') return undefined;
  if (!known.has(type)) return { type: 'other', name: type, data };
  return typeof data === 'object' && data !== null ? (message as EngineEvent) : undefined;
}

/** Big-endian: type, then by type 1: format and picture; 3: node id and text; 4: JSON and picture. */
function readBinary(frame: Uint8Array): EngineEvent | undefined {
  if (frame.length < 8) return undefined;
  const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
  const type = view.getUint32(0);
  const second = view.getUint32(4);
  if (type === 1) {
    return { type: 'preview', mediaType: second === 2 ? 'image/png' : 'image/jpeg', bytes: frame.subarray(8) };
  }
  const rest = 8 + second;
  if ((type !== 3 && type !== 4) || rest > frame.length) return undefined;
  const head = new TextDecoder().decode(frame.subarray(8, rest));
  if (type === 3) return { type: 'text', node: head, text: new TextDecoder().decode(frame.subarray(rest)) };
  return readPreview(head, frame.subarray(rest));
}

function readPreview(head: string, bytes: Uint8Array): EngineEvent | undefined {
  try {
    const { prompt_id, node_id, image_type } = JSON.parse(head) as Record<string, unknown>;
    const mediaType = typeof image_type === 'string' ? image_type : 'image/jpeg';
    if (typeof prompt_id !== 'string' || typeof node_id !== 'string') return { type: 'preview', mediaType, bytes };
    return { type: 'preview', mediaType, bytes, data: { prompt_id, node_id } };
  } catch {
    return undefined; // not JSON: the caller counts it as lost
  }
}
