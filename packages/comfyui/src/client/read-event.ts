import { z } from 'zod';
import type { EngineEvent } from './types.ts';

const ofPrompt = z.object({ prompt_id: z.string() });
const nodeProgress = z.object({ value: z.number(), max: z.number(), state: z.string() });

/** The parts of each event that are relied on; a message without them is none. */
const known: Readonly<Record<string, z.ZodType>> = {
  status: z.object({}),
  execution_start: ofPrompt,
  execution_success: ofPrompt,
  execution_cached: ofPrompt.extend({ nodes: z.array(z.string()) }),
  progress_state: ofPrompt.extend({ nodes: z.record(z.string(), nodeProgress) }),
  executing: z.object({ node: z.string().nullable() }),
  progress: ofPrompt.extend({ node: z.string(), value: z.number(), max: z.number() }),
  executed: ofPrompt.extend({ node: z.string(), output: z.record(z.string(), z.unknown()).nullable() }),
  execution_error: ofPrompt,
  execution_interrupted: ofPrompt,
  feature_flags: z.object({}),
};

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
  const shape = Object.hasOwn(known, type) ? known[type] : undefined;
  if (!shape) return { type: 'other', name: type, data };
  return shape.safeParse(data).success ? (message as EngineEvent) : undefined;
}

/** ComfyUI's `protocol.py`, big-endian: type, then by type 1: format and picture; 3: node id and text; 4: JSON and picture. */
function readBinary(frame: Uint8Array): EngineEvent | undefined {
  if (frame.length < 4) return undefined;
  const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
  const type = view.getUint32(0);
  if (type !== 1 && type !== 3 && type !== 4) return { type: 'other', name: `binary ${type}`, data: frame.subarray(4) };
  if (frame.length < 8) return undefined;
  const second = view.getUint32(4);
  if (type === 1) {
    return { type: 'preview', mediaType: second === 2 ? 'image/png' : 'image/jpeg', bytes: frame.subarray(8) };
  }
  const rest = 8 + second;
  if (rest > frame.length) return undefined;
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
