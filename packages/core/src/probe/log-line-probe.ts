import { stripVTControlCharacters } from 'node:util';
import { LogReader } from '../instance-log/read-log.ts';
import { type Probe, type ProbeContext, type ProbeOutcome, probeFail, probeOk } from './probe.ts';

/**
 * Asks whether a line of this run's output matches. Reads on from where its last try stopped; once there was such a line
 * the answer stays yes for the run.
 */
export function logLineProbe(pattern: RegExp): Probe {
  // With these flags a pattern remembers where it matched last.
  const matcher = new RegExp(pattern, pattern.flags.replace(/[gy]/g, ''));
  let reader: LogReader | undefined;
  let origin = '';
  let isFound = false;
  let turn: Promise<unknown> = Promise.resolve();

  const attempt = async ({ log, signal }: ProbeContext): Promise<ProbeOutcome> => {
    if (!log) return { outcome: 'unknown', reason: 'the service has no log' };
    const { file, from } = log;
    if (!reader || origin !== `${file}@${from}`) {
      origin = `${file}@${from}`;
      reader = new LogReader(file, { from });
      isFound = false;
    }
    if (isFound) return probeOk;
    for await (const lines of reader.read()) {
      isFound = lines.some(({ text }) => matcher.test(stripVTControlCharacters(text)));
      if (isFound) return probeOk;
      signal.throwIfAborted();
    }
    return probeFail(reader.position === from ? 'no output yet' : 'no such line yet');
  };

  return {
    description: `a line of its log matching ${pattern}`,
    attempt(context) {
      // They all read on from the same place.
      const mine = turn.then(() => attempt(context));
      turn = mine.catch(() => {}); // whoever asked is told
      return mine;
    },
  };
}
