import { deadline, systemClock } from '@mgpu/core';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { goneOf } from './gone.ts';

/** Whether somebody asks for server-sent events in place of one answer. */
export const wantsStream = ({ headers }: FastifyRequest): boolean =>
  headers.accept?.split(',').some((type) => type.trim().startsWith('text/event-stream')) ?? false;

/** Waits up to some seconds for `ended`, and no longer than somebody waits for the answer. False when it has not come. */
export async function waitForEnd(
  reply: FastifyReply,
  seconds: number,
  watch: (signal: AbortSignal) => AsyncIterable<{ readonly event: string }>,
): Promise<boolean> {
  using limit = deadline(systemClock, seconds * 1_000, () => new Error('waited long enough'), goneOf(reply));
  for await (const { event } of watch(limit.signal)) if (event === 'ended') return true;
  return false;
}
