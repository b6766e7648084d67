import { once } from 'node:events';
import { setTimeout } from 'node:timers/promises';
import type { Faults } from './script.ts';

const PADDING = 'x'.repeat(180);

/** Writes numbered lines to stdout until all are out, as fast as the reader takes them or at the given rate. */
export async function floodStdout({
  lines = Number.POSITIVE_INFINITY,
  linesPerSecond,
}: NonNullable<Faults['floodStdout']>): Promise<void> {
  const atOnce = linesPerSecond === undefined ? 500 : Math.max(1, Math.round(linesPerSecond / 20));
  for (let line = 1; line <= lines; ) {
    const chunk: string[] = [];
    while (chunk.length < atOnce && line <= lines) chunk.push(`flood ${String(line++).padStart(9, '0')} ${PADDING}\n`);
    const more = process.stdout.write(chunk.join(''));
    if (linesPerSecond !== undefined) await setTimeout(50);
    else if (!more) await once(process.stdout, 'drain');
    // A file is written synchronously and never asks for a pause: let the server live meanwhile.
    else await setTimeout(0);
  }
}
