import { isSince } from './version.ts';

export interface LogEntry {
  readonly t: string;
  readonly m: string;
}

/** The size of the terminal that the log routes tell of. */
export const TERMINAL_SIZE = { cols: 80, rows: 24 };

/** From all to nothing but what ends the server. */
export const LEVELS = ['DEBUG', 'INFO', 'WARNING', 'ERROR', 'CRITICAL'] as const;
export type LogLevel = (typeof LEVELS)[number];

type Level = 'INFO' | 'WARNING' | 'ERROR';
const COLOURS: Record<Level, string> = { INFO: '\x1b[32m', WARNING: '\x1b[33m', ERROR: '\x1b[1m\x1b[31m' };
const KEPT_ENTRIES = 300;

/** ComfyUI's logging: all of it from the level of `--verbose` on, to stderr unless `--log-stdout`, coloured prefixes from 0.23, the last 300 writes kept for `/internal/logs`. */
export class Log {
  readonly #coloured: boolean;
  readonly #stdout: boolean;
  readonly #least: LogLevel;
  readonly #entries: LogEntry[] = [];
  onEntry: ((entry: LogEntry) => void) | undefined;

  constructor(version: string, { logStdout, logLevel }: { logStdout: boolean; logLevel: LogLevel }) {
    this.#coloured = isSince(version, '0.23.0');
    this.#stdout = logStdout;
    this.#least = logLevel;
  }

  get entries(): readonly LogEntry[] {
    return this.#entries;
  }

  info(text: string): void {
    this.#write('INFO', text);
  }

  warning(text: string): void {
    this.#write('WARNING', text);
  }

  error(text: string): void {
    this.#write('ERROR', text);
  }

  #write(level: Level, text: string): void {
    if (LEVELS.indexOf(level) < LEVELS.indexOf(this.#least)) return;
    const m = `${this.#coloured ? `${COLOURS[level]}[${level}]\x1b[0m ` : ''}${text}\n`;
    const entry = { t: new Date().toISOString().replace('Z', '000'), m };
    if (this.#entries.push(entry) > KEPT_ENTRIES) this.#entries.shift();
    (this.#stdout && level !== 'ERROR' ? process.stdout : process.stderr).write(m);
    this.onEntry?.(entry);
  }
}
