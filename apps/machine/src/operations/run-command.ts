import { fileURLToPath } from 'node:url';
import { stripVTControlCharacters } from 'node:util';
import { apiVersion, type Envelope, type Operation } from '@mgpu/control';
import { type ErrorReport, type Logger, reviveError, streamCommand, systemClock } from '@mgpu/core';
import { z } from 'zod';
import { askingForNews, type CommandNews } from '../command-news.ts';
import { CommandDiedError } from '../errors.ts';
import type { Settings } from '../settings.ts';

/** The machine that commands are for. */
export interface CommandSite {
  readonly settings: Pick<Settings, 'layout' | 'file' | 'mock' | 'env' | 'cwd'>;
  /** Hears what a command says beside its answer. */
  readonly log: Logger;
  /** Kills commands at once. */
  readonly force: AbortSignal;
}

const program = fileURLToPath(new URL('../bin/mgpu.js', import.meta.url));
/** Milliseconds that a command has, when it is called off, to put back what it was changing. */
const graceMs = 10_000;
/** Characters of an answer. */
const mostChars = 16 * 1024 * 1024;
/** Lines that a command printed before it died. */
const keptLines = 5;

const answerSchema = z.object({ apiVersion: z.literal(apiVersion), kind: z.string(), data: z.unknown() });

/**
 * Runs an `mgpu` command in a process of its own: its work takes no time of ours, and it reads the configuration as it is now.
 * Resolves with the envelope that it printed, also when it could do a part only. Rejects with the error that it printed,
 * `MACHINE_COMMAND_DIED`, and with the signal's reason.
 */
export async function runCommand(
  command: string,
  words: readonly string[],
  { settings, log, force }: CommandSite,
  { signal, onProgress }: Parameters<Operation['run']>[1],
): Promise<Envelope> {
  const { layout, file, mock, env, cwd } = settings;
  const machine = [`--root=${layout.root}`, ...(file === undefined ? [] : [`--config=${file}`])];
  using patience = patienceAfter(signal);
  let failure: ErrorReport | undefined;
  const onMessage = (message: unknown) => {
    // What a plugin sends over the channel is none of ours.
    const news = message as CommandNews | null;
    if (news?.event === 'progress') onProgress(plain(news.progress));
    else if (news?.event === 'notice') log.warn(`${command}: ${news.text}`);
    else if (news?.event === 'failed') failure = news.error;
  };
  const { ok, stdout, lastLines, problem } = await streamCommand(
    process.execPath,
    [program, '--json', ...machine, ...words],
    {
      // Simulated GPUs that the command line asked for are in no file.
      env: { ...env, ...askingForNews, ...(mock === undefined ? {} : { TEST_GPUS: String(mock) }) },
      cwd,
      interrupt: signal,
      signal: AbortSignal.any([patience.signal, force]),
      keptChars: mostChars,
      onMessage,
    },
  );
  const answer = answerIn(stdout);
  if (answer?.kind === 'Error') failure ??= answer.data as ErrorReport;
  if (failure) throw reviveError(failure);
  // Called off too late: what was done is done.
  if (answer && (ok || !signal.aborted)) return answer;
  signal.throwIfAborted();
  throw new CommandDiedError({
    command,
    problem: stdout.length < mostChars ? (problem ?? 'it said nothing') : `it said more than ${mostChars} characters`,
    lastLines: stdout.length < mostChars ? lastLines.slice(-keptLines).map(stripVTControlCharacters) : [],
  });
}

const plain = ({ text, percent }: { text: string; percent?: number | undefined }) => ({
  text,
  ...(percent === undefined ? {} : { percent: Math.floor(percent) }),
});

function answerIn(text: string): Envelope | undefined {
  try {
    return answerSchema.parse(JSON.parse(text));
  } catch {
    return undefined; // it died before it was done with it
  }
}

/** A signal that fires when so much time has gone since the other did. */
function patienceAfter(signal: AbortSignal): { readonly signal: AbortSignal } & Disposable {
  const [over, ended] = [new AbortController(), new AbortController()];
  const wait = () => {
    systemClock.sleep(graceMs, { signal: ended.signal }).then(
      () => over.abort(),
      () => {}, // it ended in time
    );
  };
  signal.addEventListener('abort', wait, { signal: ended.signal });
  if (signal.aborted) wait();
  return { signal: over.signal, [Symbol.dispose]: () => ended.abort() };
}
