import { type HttpTarget, HttpTransport, wasNotHeard } from '@mgpu/core/http-client';
import { OllamaBadAnswerError, OllamaUnreachableError } from '../errors.ts';

/** Bytes an answer, or one line of it, may have: embeddings of a long list are the largest. */
export const maxBytes = 256 * 1024 * 1024;

/** HTTP to one Ollama. */
export const transportTo = (target: HttpTarget): HttpTransport =>
  new HttpTransport(target, {
    connections: 64,
    maxBytes,
    unreachable: (failure, options) =>
      new OllamaUnreachableError({ ...failure, heard: !wasNotHeard(options.cause) }, options),
    badAnswer: (failure) => new OllamaBadAnswerError(failure),
  });
