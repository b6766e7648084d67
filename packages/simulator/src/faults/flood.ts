import { once } from 'node:events';
import { setTimeout } from 'node:timers/promises';
import type { JobFaults } from './job-faults-schema.ts';

const PADDING = 'x'.repeat(180);
const AT_ONCE = 500;

/** Writes numbered lines to stdout until all are out or the signal says stop, as fast as they are taken or at the given rate. */
export async function floodStdout(
  {
    lines = Number.POSITIVE_INFINITY,
    linesPerSecond = Number.POSITIVE_INFINITY,
  }: NonNullable<JobFaults['floodStdout']>,
  signal: AbortSignal,
): Promise<void> {
  const started = performance.now();
  for (let line = 1; line <= lines && !signal.aborted; ) {
    const due = Math.min(lines, line + AT_ONCE - 1, ((performance.now() - started) / 1000) * linesPerSecond);
    const chunk: string[] = [];
    while (line <= due) chunk.push(`flood ${String(line++).padStart(9, '0')} ${PADDING}\n`);
    if (!process.stdout.write(chunk.join(''))) await once(process.stdout, 'drain');
    // A file is written synchronously and never asks for a pause: let the server live meanwhile.
    else await setTimeout(linesPerSecond === Number.POSITIVE_INFINITY ? 0 : 20);
  }
}
