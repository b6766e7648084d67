import { open } from 'node:fs/promises';
import { stripVTControlCharacters } from 'node:util';
import { type Probe, probeFail, probeOk } from './probe.ts';

const chunkBytes = 256 * 1024;
const newline = 10;

/** How far a log was read. */
interface Reading {
  readonly origin: string;
  readonly position: number;
  /** The beginning of a line whose end is not written yet. */
  readonly rest: Buffer;
  readonly found: boolean;
}

/**
 * Asks whether a line of this run's output matches. Reads on from where its last try stopped; once there was such a line
 * the answer stays yes for the run.
 */
export function logLineProbe(pattern: RegExp): Probe {
  // With these flags a pattern remembers where it matched last.
  const matcher = new RegExp(pattern, pattern.flags.replace(/[gy]/g, ''));
  let reading: Reading | undefined;
  return {
    description: `a line of its log matching ${pattern}`,
    async attempt({ log, signal }) {
      if (!log) return { outcome: 'unknown', reason: 'the service has no log' };
      const origin = `${log.file}@${log.from}`;
      let now: Reading =
        reading?.origin === origin ? reading : { origin, position: log.from, rest: Buffer.alloc(0), found: false };
      if (now.found) return probeOk;
      const file = await open(log.file, 'r').catch((error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return undefined;
        throw error;
      });
      if (!file) return probeFail('no output yet');
      try {
        const buffer = Buffer.alloc(chunkBytes);
        for (;;) {
          signal.throwIfAborted();
          const { bytesRead } = await file.read(buffer, 0, chunkBytes, now.position);
          if (bytesRead === 0) return probeFail('no such line yet');
          now = advance(now, buffer.subarray(0, bytesRead), matcher);
          reading = now;
          if (now.found) return probeOk;
        }
      } finally {
        await file.close();
      }
    },
  };
}

function advance({ origin, position, rest }: Reading, chunk: Buffer, matcher: RegExp): Reading {
  const bytes = Buffer.concat([rest, chunk]);
  const end = bytes.lastIndexOf(newline) + 1;
  const lines = bytes.toString('utf8', 0, end).split('\n').slice(0, -1);
  return {
    origin,
    position: position + chunk.length,
    // A line without end may grow for ever: what is kept of it is bounded.
    rest: Buffer.from(bytes.subarray(end).subarray(-chunkBytes)),
    found: lines.some((line) => matcher.test(stripVTControlCharacters(line))),
  };
}
