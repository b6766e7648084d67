import { type HttpTarget, HttpTransport } from '@mgpu/core/http-client';
import { ComfyUIBadAnswerError, ComfyUIUnreachableError } from '../errors.ts';

/** Bytes an answer or an event may have; only a workflow with everything it carries can be this large. */
export const maxBytes = 64 * 1024 * 1024;

/** HTTP to one ComfyUI. */
export const transportTo = (target: HttpTarget): HttpTransport =>
  new HttpTransport(target, {
    connections: 8,
    maxBytes,
    unreachable: (...failure) => new ComfyUIUnreachableError(...failure),
    badAnswer: (failure) => new ComfyUIBadAnswerError(failure),
  });
