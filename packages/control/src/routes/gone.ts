import type { FastifyReply } from 'fastify';

/** Fires when nobody waits for the answer any more. */
export function goneOf({ raw }: FastifyReply): AbortSignal {
  const gone = new AbortController();
  raw.once('close', () => gone.abort());
  return gone.signal;
}
