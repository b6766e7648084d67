import { type Command, InvalidArgumentError, Option } from 'commander';
import type { LogsFlags } from '../commands/logs.ts';
import { withExamples } from './examples.ts';
import type { Runner } from './runner.ts';

interface LogsOptions extends Omit<LogsFlags, 'lines'> {
  /** True without a number. */
  readonly lines?: number | 'all' | true;
}

export function addLogs(program: Command, runner: Runner): void {
  const logs = program
    .command('logs')
    .description('what instances print, and what the daemon logs, in the order of time; needs no daemon')
    .argument('[selector...]', 'a service, an instance such as comfyui_gpu0, gpu:N, all (default), or daemon');
  withExamples(
    withOptions(logs).action((selectors: string[], options: LogsOptions) =>
      runner.ask(({ logs }, context) => logs(context, selectors.length === 0 ? ['all'] : selectors, flagsOf(options))),
    ),
    {
      'mgpu logs': 'the last lines of all, and what follows',
      'mgpu logs gpu:1 --since 10m': 'what happened on GPU 1',
      'mgpu logs comfyui --level error -n 20': 'the last errors of ComfyUI, wherever it runs',
      'mgpu logs all daemon --grep "out of memory" -t': 'who said so, and when',
      'mgpu logs worker_gpu0 --json | jq .text': 'for programs: one object a line',
    },
  );
}

/** The logs of one service, as `mgpu comfyui logs 0`. */
export function addServiceLogs(service: Command, runner: Runner, kind: string): void {
  const name = service.name();
  const logs = service
    .command('logs')
    .description('what it prints, in the order of time; needs no daemon')
    .argument('[gpu...]', 'numbers of GPUs, or all (default)');
  withExamples(
    withOptions(logs).action((gpus: string[], options: LogsOptions) =>
      runner.ask(({ logs, ofService }, context) =>
        logs(context, gpus.length === 0 || gpus.includes('all') ? [kind] : ofService(kind, gpus), flagsOf(options)),
      ),
    ),
    { [`mgpu ${name} logs`]: 'wherever it runs', [`mgpu ${name} logs all -n`]: 'the last 100 lines, and no more' },
  );
}

function withOptions(command: Command): Command {
  return command
    .option('-n, --lines [n]', 'the last so many lines of all together, or all; alone: 100, without following', lines)
    .option('--since <when>', 'how long ago, such as 10m or 1h30m, or a time such as 2026-11-26T12:00')
    .option('--until <when>', 'the same')
    .option('--grep <regexp>', 'lines that match; small letters mean capital ones, too')
    .addOption(new Option('--level <level>', 'lines so severe, or more').choices(['error', 'warn', 'info', 'debug']))
    .option('-f, --follow', 'go on with what comes (default on a terminal)')
    .option('--no-follow', 'end with what there is')
    .option('-t, --timestamps', 'say when each line was written');
}

function flagsOf({ lines, follow, ...flags }: LogsOptions): LogsFlags {
  if (lines === true) return { ...flags, follow: follow ?? false };
  return { ...flags, lines, follow };
}

function lines(text: string): number | 'all' {
  if (text === 'all') return text;
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value))
    throw new InvalidArgumentError('it must be a number of lines, or all');
  return value;
}
