import { type LogLevel, type NamedLine, printable } from '@mgpu/core';
import { paint } from './colours.ts';

export interface LogTextOptions {
  /** Whether each line says whose it is. */
  readonly withNames: boolean;
  /** Whether each line says when it was written. */
  readonly withTimes: boolean;
}

/** Red and yellow are how severe a line is. */
const colours = [
  paint.cyan,
  paint.green,
  paint.magenta,
  paint.blue,
  paint.cyanBright,
  paint.greenBright,
  paint.magentaBright,
  paint.blueBright,
];

const separators: Readonly<Record<LogLevel, string>> = {
  error: paint.red('|'),
  warn: paint.yellow('|'),
  info: paint.dim('|'),
  debug: paint.dim('|'),
};

/** Lines of logs as people read them: `comfyui_gpu0 | got prompt`. */
export class LogText {
  readonly #options: LogTextOptions;
  /** In the order in which they came, which gives each its colour. */
  readonly #names = new Map<string, (text: string) => string>();
  #width = 0;

  constructor(names: readonly string[], options: LogTextOptions) {
    this.#options = options;
    for (const name of names) this.#know(name);
  }

  /** What stands before a line; as wide for all of them. */
  head({ instance, level, time }: NamedLine): string {
    const { withNames, withTimes } = this.#options;
    const at = withTimes ? `${paint.dim(localTime(time))} ` : '';
    if (!withNames) return at;
    const colour = this.#know(instance);
    return `${at}${colour(instance.padEnd(this.#width))} ${separators[level]} `;
  }

  /** The line itself; one that another program of ours wrote as JSON in words. */
  body({ text, lost }: NamedLine): string {
    const shown = printable(wordsOf(text) ?? text, { colours: paint.isColorSupported });
    return lost === undefined ? shown : `${paint.yellow(lostText(lost))}${shown}`;
  }

  #know(name: string): (text: string) => string {
    const known = this.#names.get(name);
    if (known) return known;
    const colour = colours[this.#names.size % colours.length] ?? String;
    this.#names.set(name, colour);
    this.#width = Math.max(this.#width, name.length);
    return colour;
  }
}

const lostText = (bytes: number) => (bytes === 0 ? '[lines are lost here] ' : `[${bytes} bytes are lost here] `);

/** `11-26 12:00:00.123`, by the host's clock. */
function localTime(time: number): string {
  const date = new Date(time);
  const two = (value: number) => String(value).padStart(2, '0');
  const day = `${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  const clock = [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(':');
  return `${day} ${clock}.${String(date.getMilliseconds()).padStart(3, '0')}`;
}

/** `warn comfyui_gpu0: it failed code=CORE_X` of `{"level":"warn","message":…,"timestamp":…}`; undefined for others. */
function wordsOf(text: string): string | undefined {
  if (!text.startsWith('{"')) return undefined;
  let fields: Record<string, unknown>;
  try {
    fields = JSON.parse(text);
  } catch {
    return undefined;
  }
  const { level, message, timestamp, instance, ...rest } = fields;
  if (typeof level !== 'string' || typeof message !== 'string' || timestamp === undefined) return undefined;
  const whose = typeof instance === 'string' ? `${instance}: ` : '';
  const more = Object.entries(rest).map(([key, value]) => ` ${paint.dim(`${key}=`)}${valueText(value)}`);
  return `${level} ${whose}${message}${more.join('')}`;
}

const valueText = (value: unknown) =>
  typeof value === 'string' && /^[^\s"]+$/.test(value) ? value : JSON.stringify(value);
