import { once } from 'node:events';
import { envelope } from '@mgpu/control';
import { reportError } from '@mgpu/core';
import { type CommandProgress, newsChannelOf } from '../command-news.ts';
import { paint } from './colours.ts';
import { clipLine, lineWidth } from './text.ts';

/**
 * Where a command's words go: people read standard output and error, programs read one JSON envelope, and what is told beside it over
 * their channel, if they have one.
 */
export interface Output {
  /** True when a person watches. */
  readonly live: boolean;
  /** True with `--json`. */
  readonly json: boolean;
  /** Of the terminal; that of an ordinary one where there is none. */
  size(): { readonly columns: number; readonly rows: number };
  /** Columns that text for people may take: those of the terminal, else 80. */
  readonly width: number;
  /** Text for people; nothing with `--json`. One that takes long to lay out is a function. */
  line(text?: string | (() => string)): void;
  /** A line that the next one replaces; nothing unless a person watches. */
  transient(text: string): void;
  /** How far the command has come: for people a transient line, which may show it in another way. */
  progress(progress: CommandProgress, line?: () => string): void;
  /** Something beside the answer that should not be missed, on standard error. */
  notice(text: string): void;
  /** The answer; nothing without `--json`. There is one: a second is a mistake. */
  data(kind: string, data: unknown): void;
  /**
   * Part of an answer without an end, as it is; waits for whoever reads slowly. Resolves to false when nobody reads any more.
   */
  stream(text: string): Promise<boolean>;
  /** One of many answers, of a command that goes on: with `--json` a line each. */
  change(kind: string, data: unknown, text: () => string): void;
  /** With `--json` it is the answer, or follows it on standard error. `more` is for programs alone. */
  error(error: unknown, more?: object): void;
}

export function createOutput(json: boolean): Output {
  const { stdout: out, stderr: err } = process;
  const live = !json && out.isTTY === true;
  const erase = live ? '\r\u001B[2K' : '';
  const news = newsChannelOf(process);
  let hasAnswered = false;
  const answer = (kind: string, data: unknown) => {
    if (hasAnswered) throw new Error(`a second answer (${kind}) to one command`);
    hasAnswered = true;
    out.write(`${JSON.stringify(envelope(kind, data), null, 2)}\n`);
  };
  let isRead = true;
  for (const end of ['error', 'close']) {
    out.once(end, () => {
      isRead = false;
    });
  }
  const transient = (text: string) => {
    if (live) out.write(`${erase}${clipLine(text, (out.columns || lineWidth) - 1)}`);
  };
  return {
    live,
    json,
    size: () => ({ columns: out.columns || lineWidth, rows: out.rows || 24 }),
    get width() {
      return live ? out.columns || lineWidth : lineWidth;
    },
    line: (text = '') => {
      if (!json) out.write(`${erase}${typeof text === 'string' ? text : text()}\n`);
    },
    transient,
    progress: (progress, line = () => progressLine(progress)) => {
      news?.progress(progress);
      if (live) transient(line());
    },
    notice: (text) => {
      news?.send({ event: 'notice', text });
      err.write(`${erase}${paint.yellow('!')} ${text}\n`);
    },
    data: (kind, data) => {
      if (json) answer(kind, data);
    },
    stream: async (text) => {
      hasAnswered = true;
      if (isRead && text !== '' && !out.write(text)) await room(out);
      return isRead;
    },
    change: (kind, data, text) => {
      out.write(`${json ? JSON.stringify(envelope(kind, data)) : text()}\n`);
    },
    error: (error, more = {}) => {
      const report = reportError(error);
      if (json && !hasAnswered) return answer('Error', { ...report, ...more });
      news?.send({ event: 'failed', error: report });
      err.write(`${erase}${paint.red('error')} ${report.message} ${paint.dim(`(${report.code})`)}\n`);
      const cure = report.hint ?? report.cause?.hint;
      if (cure) err.write(`${paint.dim('→')} ${cure}\n`);
    },
  };
}

const progressLine = ({ text, percent }: CommandProgress) =>
  percent === undefined ? text : `${text} ${Math.floor(percent)} %`;

/** Resolves when more can be written, or never any more. */
async function room(out: NodeJS.WriteStream): Promise<void> {
  const over = new AbortController();
  const { signal } = over;
  await Promise.race(['drain', 'close'].map((event) => once(out, event, { signal }))).catch(() => {}); // nobody reads
  over.abort();
}
