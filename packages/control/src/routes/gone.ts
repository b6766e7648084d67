import type { FastifyReply } from 'fastify';

/** Fires when nobody waits for the answer any more. */
export function goneOf({ raw }: FastifyReply): AbortSignal {
  const gone = new AbortController();
  // Whoever left while something else was waited for closes no second time.
  if (raw.destroyed) gone.abort();
  else raw.once('close', () => gone.abort());
  return gone.signal;
}
