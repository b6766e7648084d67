import { instantFromText, type LogLevel, readLogs, reportError } from '@mgpu/core';
import { chooseLogs } from '../choose-logs.ts';
import { UsageError } from '../errors.ts';
import { LogText } from '../print/log-text.ts';
import { JsonLogView, LiveLogView, type LogView, PlainLogView } from '../print/log-view.ts';
import type { Selection } from '../selectors.ts';
import { locateMachine } from '../settings.ts';
import { type CommandContext, type ExitCode, exitCodes } from './command.ts';

/** What the command line says. */
export interface LogsFlags {
  /** Lines of all logs together. Default: 100, or with `since` all. */
  readonly lines?: number | 'all' | undefined;
  /** `10m`, or a time in ISO 8601. */
  readonly since?: string | undefined;
  readonly until?: string | undefined;
  /** A regular expression; without a capital letter it means capital ones, too. */
  readonly grep?: string | undefined;
  readonly level?: LogLevel | undefined;
  /** Default: when a person watches. */
  readonly follow?: boolean | undefined;
  readonly timestamps?: boolean | undefined;
}

const defaultLines = 100;

/**
 * Shows what instances print, and what the daemon logs, in the order of time. Needs no daemon. Throws `MACHINE_USAGE`, and what
 * selections throw.
 */
export async function logs(
  { output, settings, interrupted }: CommandContext,
  meant: readonly string[] | Selection,
  flags: LogsFlags = {},
): Promise<ExitCode> {
  const now = Date.now();
  const since = instant('--since', flags.since, now);
  const until = instant('--until', flags.until, now);
  const grep = expression(flags.grep);
  if (flags.follow && until !== undefined)
    throw new UsageError({ problem: '--until ends the logs, and --follow does not' });
  const follow = flags.follow ?? (output.live && until === undefined);
  const lines = flags.lines ?? (since === undefined ? defaultLines : 'all');
  const location = await locateMachine(settings);
  const chosen = await chooseLogs(meant, location, interrupted);
  const there = chosen.find();
  const text = new LogText(
    there.map(({ name }) => name),
    { withNames: !chosen.isOne, withTimes: flags.timestamps ?? false },
  );
  if (chosen.silent.length > 0) output.notice(silentText(chosen.silent));
  if (there.length + chosen.silent.length === 0)
    output.notice(`nothing has printed anything in ${location.layout.root} yet`);
  const view = viewOf(output, text, follow);
  let problems = 0;
  const onProblem = (name: string, error: unknown) => {
    problems += 1;
    output.notice(`the log of ${name} cannot be read: ${reportError(error).message}`);
  };
  const reading = readLogs(there, {
    since,
    until,
    grep,
    level: flags.level,
    last: lines === 'all' ? undefined : lines,
    follow,
    find: chosen.find,
    onProblem,
    signal: interrupted,
  });
  for await (const some of reading) if (!(await view.show(some))) break;
  await view.end();
  if (problems === 0) return exitCodes.done;
  return problems < there.length ? exitCodes.partly : exitCodes.failed;
}

const silentText = (ids: readonly string[]) =>
  `${ids.join(', ')} ${ids.length === 1 ? 'has' : 'have'} printed nothing; what the daemon does about it: mgpu logs daemon`;

function viewOf(output: CommandContext['output'], text: LogText, isFollowed: boolean): LogView {
  const write = output.stream;
  if (output.json) return new JsonLogView({ write, isFollowed });
  if (!output.live || !isFollowed) return new PlainLogView(text, { write, isFollowed });
  return new LiveLogView(text, { write, size: output.size });
}

function instant(option: string, value: string | undefined, now: number): number | undefined {
  if (value === undefined) return undefined;
  const time = instantFromText(value, now);
  if (time !== undefined) return time;
  throw new UsageError({
    problem: `${option} is "${value}": neither how long ago, such as 10m, nor a time such as 2026-11-26T12:00`,
  });
}

function expression(pattern: string | undefined): RegExp | undefined {
  if (pattern === undefined) return undefined;
  try {
    return new RegExp(pattern, /\p{Lu}/u.test(pattern.replace(/\\./g, '')) ? '' : 'i');
  } catch (error) {
    throw new UsageError({ problem: `--grep cannot be used: ${(error as Error).message}` });
  }
}
