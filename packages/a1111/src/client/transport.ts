import { type HttpTarget, HttpTransport } from '@mgpu/core/http-client';
import { A1111BadAnswerError, A1111UnreachableError } from '../errors.ts';

/** A request with all its pictures, in base64. */
const maxBytes = 512 * 1024 * 1024;

/** HTTP to one Automatic1111. */
export const transportTo = (target: HttpTarget): HttpTransport =>
  new HttpTransport(target, {
    connections: 4, // one for the job, the others for what is asked about it meanwhile
    maxBytes,
    unreachable: (...failure) => new A1111UnreachableError(...failure),
    badAnswer: (failure) => new A1111BadAnswerError(failure),
  });
