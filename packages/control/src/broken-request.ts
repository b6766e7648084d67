import type { Socket } from 'node:net';
import { reportError } from '@mgpu/core';
import { envelope } from './contract.ts';
import { RequestInvalidError } from './errors.ts';

/** What Node makes of bytes that are no request, by the codes of its errors. Whatever else there is is 400. */
const kinds: Readonly<Record<string, readonly [status: number, problem: string]>> = {
  HPE_HEADER_OVERFLOW: [431, 'its head is too large'],
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'it was not there in time'],
};

/** Answers what never became a request, and hangs up: where the next one would begin nobody can tell. */
export function answerBrokenRequest(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy();
  const [status, problem] = kinds[error.code ?? ''] ?? [400, 'it is no HTTP'];
  const body = JSON.stringify(envelope('Error', reportError(new RequestInvalidError({ problems: [problem] }))));
  const { STATUS_CODES } = process.getBuiltinModule('node:http');
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    'connection: close',
    'content-type: application/json; charset=utf-8',
    `content-length: ${Buffer.byteLength(body)}`,
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`, () => socket.destroy());
}
