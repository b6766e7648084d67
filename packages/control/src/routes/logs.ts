import { type LogRecord, logRecord, type NamedLog, readLogs, type Selectable, selectInstances } from '@mgpu/core';
import { envelope, type MachineControl } from '../contract.ts';
import { lineMatcher } from '../logs/line-matcher.ts';
import { LogCursor } from '../logs/log-cursor.ts';
import { goneOf } from './gone.ts';
import { type Asked, answer, type Routing } from './route.ts';

/** Among selectors the daemon's own log. */
const daemonName = 'daemon';

/** Lines of logs as server-sent events, some at a time. */
export interface LinesEvent {
  readonly event: 'lines';
  readonly data: readonly LogRecord[];
}

/** What instances print, and what the daemon logs. */
export function logRoutes(routing: Routing): void {
  const { control, face, streams } = routing;

  answer(routing, 'getLogs', async ({ query, reply }) => {
    const cursor = LogCursor.from(undefined);
    const logs = cursor.place(logsNamed(control, query.select));
    const options = { ...(await filterOf(query)), until: query.until, last: query.lines, signal: goneOf(reply) };
    const lines: LogRecord[] = [];
    for await (const some of readLogs(logs, options)) {
      cursor.passed(some, daemonName);
      lines.push(...some.map(logRecord));
    }
    return envelope('Logs', { lines, cursor: cursor.word });
  });

  answer(routing, 'followLogs', async ({ query, request, reply }) => {
    const find = () => logsNamed(control, query.select);
    const filter = await filterOf(query);
    const cursor = LogCursor.from(request.headers['last-event-id']);
    const logs = cursor.place(find());
    const last = cursor.isNew ? query.lines : undefined;
    const stream = streams.open(reply, () => face.isTrusted(request));
    await streams.pass(
      stream,
      async function* (signal): AsyncGenerator<LinesEvent> {
        for await (const lines of readLogs(logs, { ...filter, last, follow: true, find, signal })) {
          cursor.passed(lines, daemonName);
          if (lines.length > 0) yield { event: 'lines', data: lines.map(logRecord) };
        }
      },
      () => cursor.word,
    );
  });
}

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

async function filterOf({ since, level, grep, ignoreCase = false }: Asked<'followLogs'>['query']) {
  return { since, level, ...(grep === undefined ? {} : { grep: await lineMatcher(grep, { ignoreCase }) }) };
}
