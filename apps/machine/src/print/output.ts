import { envelope } from '@mgpu/control';
import { reportError } from '@mgpu/core';
import pc from 'picocolors';

/** Where a command's words go: people read standard output and error, programs read one JSON envelope. */
export interface Output {
  readonly json: boolean;
  /** True when a person watches. */
  readonly live: boolean;
  /** Text for people; nothing with `--json`. */
  line(text?: string): void;
  /** A line that the next one replaces; nothing unless a person watches. */
  transient(text: string): void;
  /** The answer; nothing without `--json`. */
  data(kind: string, data: unknown): void;
  error(error: unknown): void;
}

export function createOutput(json: boolean, out: NodeJS.WriteStream, err: NodeJS.WriteStream): Output {
  const live = !json && out.isTTY === true;
  const erase = live ? '\r\u001B[2K' : '';
  return {
    json,
    live,
    line: (text = '') => {
      if (!json) out.write(`${erase}${text}\n`);
    },
    transient: (text) => {
      if (live) out.write(`${erase}${text}`);
    },
    data: (kind, data) => {
      if (json) out.write(`${JSON.stringify(envelope(kind, data), null, 2)}\n`);
    },
    error: (error) => {
      const report = reportError(error);
      if (json) return void out.write(`${JSON.stringify(envelope('Error', report), null, 2)}\n`);
      err.write(`${erase}${pc.red('error')} ${report.message} ${pc.dim(`(${report.code})`)}\n`);
      const cure = report.hint ?? report.cause?.hint;
      if (cure) err.write(`${pc.dim('→')} ${cure}\n`);
    },
  };
}
