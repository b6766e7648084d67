import { type LogRecord, logRecord, type NamedLog, readLogs, type Selectable, selectInstances } from '@mgpu/core';
import { envelope, type MachineControl } from '../contract.ts';
import { lineMatcher } from '../logs/line-matcher.ts';
import { daemonName, LogBroadcasts } from '../logs/log-broadcasts.ts';
import { LogCursor } from '../logs/log-cursor.ts';
import { goneOf } from './gone.ts';
import { type Asked, answer, type Routing } from './route.ts';

/** Characters of an answer, about; of more than that the last. */
export const mostChars = 8 * 1024 * 1024;

/** What instances print, and what the daemon logs. */
export function logRoutes(routing: Routing): void {
  const { control, streams } = routing;
  const broadcasts = new LogBroadcasts();

  answer(routing, 'getLogs', async ({ query, reply }) => {
    const { since, until, lines: last, level } = query;
    const logs = logsNamed(control, query.select);
    const place = LogCursor.atEnd(logs);
    const grep = await matcherOf(query);
    const lines: LogRecord[] = [];
    const range = { since, until, last, lastChars: mostChars };
    for await (const some of readLogs(logs, { ...range, level, grep, signal: goneOf(reply) })) {
      place.pass(some, daemonName);
      lines.push(...some.map(logRecord));
    }
    return envelope('Logs', { lines, cursor: place.word });
  });

  answer(routing, 'followLogs', async ({ query, request, reply }) => {
    const { select, since, level, grep, ignoreCase, lines: last } = query;
    const find = () => logsNamed(control, select);
    find(); // who is not there is an answer, not a stream
    const followed = { find, level, grep: await matcherOf(query) };
    const cursor = LogCursor.from(request.headers['last-event-id']);
    const stream = streams.open(reply);
    const key = JSON.stringify([select?.toSorted(), level, grep, ignoreCase]);
    await streams.whole(stream, () => broadcasts.follow(key, followed, { cursor, since, last }, stream));
  });
}

const matcherOf = async ({ grep, ignoreCase = false }: Pick<Asked<'followLogs'>['query'], 'grep' | 'ignoreCase'>) =>
  grep === undefined ? undefined : await lineMatcher(grep, { ignoreCase });

/** The logs that selectors mean. Throws `CORE_SELECTOR_UNKNOWN` and `CORE_GPU_UNKNOWN`. */
export function logsNamed(control: MachineControl, select: readonly string[] = ['all']): NamedLog[] {
  const { instances: printed, daemon } = control.logs();
  const { gpus, instances } = control.status();
  const others = select.filter((each) => each !== daemonName);
  // Whoever is there and has printed nothing yet may be meant, and whoever is not there any more and has.
  const files = new Map(printed.map(({ id, file }) => [id, file]));
  const silent = instances
    .filter(({ id }) => !files.has(id))
    .map(({ id, kind, gpu }): Selectable => ({ id, kind, ...(gpu === undefined ? {} : { gpu }) }));
  const chosen = selectInstances(others, { gpus, instances: [...printed, ...silent] });
  return [
    ...(others.length < select.length ? [{ name: daemonName, folder: daemon }] : []),
    ...chosen.flatMap(({ id }) => {
      const file = files.get(id);
      return file === undefined ? [] : [{ name: id, file }];
    }),
  ];
}
