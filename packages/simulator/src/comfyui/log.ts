import { isSince } from './version.ts';

export interface LogEntry {
  readonly t: string;
  readonly m: string;
}

type Level = 'INFO' | 'WARNING' | 'ERROR';
const COLOURS: Record<Level, string> = { INFO: '\x1b[32m', WARNING: '\x1b[33m', ERROR: '\x1b[1m\x1b[31m' };
const KEPT_ENTRIES = 300;

/** ComfyUI's logging: all of it to stderr unless `--log-stdout`, coloured prefixes from 0.23, the last 300 writes kept for `/internal/logs`. */
export class Log {
  readonly #coloured: boolean;
  readonly #stdout: boolean;
  readonly #entries: LogEntry[] = [];
  onEntry: ((entry: LogEntry) => void) | undefined;

  constructor(version: string, stdout: boolean) {
    this.#coloured = isSince(version, '0.23.0');
    this.#stdout = stdout;
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
    const m = `${this.#coloured ? `${COLOURS[level]}[${level}]\x1b[0m ` : ''}${text}\n`;
    const entry = { t: new Date().toISOString().replace('Z', '000'), m };
    if (this.#entries.push(entry) > KEPT_ENTRIES) this.#entries.shift();
    (this.#stdout && level !== 'ERROR' ? process.stdout : process.stderr).write(m);
    this.onEntry?.(entry);
  }
}
