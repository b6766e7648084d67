import { stripVTControlCharacters } from 'node:util';
import { wrapAnsi } from 'fast-wrap-ansi';
import { paint } from './colours.ts';

/** Columns that everything we print fits into, but for paths and words that are longer themselves. */
export const lineWidth = 80;

/** `4 ms`, `1.24 s`, `2 min 05 s`, `3 h 20 min`, `3 d 02 h`. */
export function duration(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 100_000) return `${(ms / 1_000).toFixed(2)} s`;
  const seconds = Math.round(ms / 1_000);
  const [minutes, hours, days] = [60, 3_600, 86_400].map((unit) => Math.floor(seconds / unit)) as [
    number,
    number,
    number,
  ];
  const two = (value: number) => String(value).padStart(2, '0');
  if (hours === 0) return `${minutes} min ${two(seconds % 60)} s`;
  return days === 0 ? `${hours} h ${two(minutes % 60)} min` : `${days} d ${two(hours % 24)} h`;
}

/** How long something has lasted, as far as anybody cares: `12 s`, `5 min`, `3 h 20 min`, `3 d 02 h`. */
export function age(ms: number): string {
  const seconds = Math.floor(Math.max(0, ms) / 1_000);
  if (seconds < 100) return `${seconds} s`;
  return seconds < 3_600 ? `${Math.floor(seconds / 60)} min` : duration(seconds * 1_000);
}

export function fileSize(bytes: number): string {
  if (bytes < 1_000) return `${bytes} B`;
  if (bytes < 1_000_000) return `${(bytes / 1_000).toFixed(1)} kB`;
  return bytes < 1_000_000_000 ? `${(bytes / 1_000_000).toFixed(1)} MB` : `${(bytes / 1_000_000_000).toFixed(1)} GB`;
}

const barWidth = 24;

/** `[██████      ]  42 %` */
export function bar(percent: number): string {
  const filled = Math.round((percent / 100) * barWidth);
  return `[${'█'.repeat(filled)}${' '.repeat(barWidth - filled)}] ${String(Math.round(percent)).padStart(3)} %`;
}

export const marks = {
  ok: paint.green('✔'),
  warning: paint.yellow('!'),
  error: paint.red('✖'),
  failed: paint.red('✖'),
  skipped: paint.yellow('–'),
  cancelled: paint.yellow('–'),
  running: paint.cyan('…'),
} as const;

/** The text cut to a width, with an ellipsis. */
export const clip = (text: string, width: number) => (text.length <= width ? text : `${text.slice(0, width - 1)}…`);

/** One line that may have colours, cut to a width; a cut one loses them. */
export function clipLine(line: string, width: number): string {
  const plain = stripVTControlCharacters(line);
  return plain.length <= width ? line : clip(plain, width);
}

/** Facts on a line, or on more of them where they do not fit; none of them is broken. */
export function facts(parts: readonly string[], width = lineWidth): string {
  const lines: string[] = [];
  for (const part of parts) {
    const line = lines.at(-1);
    const longer = `${line} · ${part}`;
    if (line !== undefined && stripVTControlCharacters(longer).length <= width) lines[lines.length - 1] = longer;
    else lines.push(lines.length === 0 ? part : `  ${part}`);
  }
  return lines.join('\n');
}

/** The text as a paragraph of lines, those after the first indented like the text after `head`. */
export function paragraph(head: string, text: string, width = lineWidth): string {
  const indent = ' '.repeat(stripVTControlCharacters(head).length);
  const lines = wrapAnsi(text, width - indent.length, { hard: false }).split('\n');
  return lines.map((line, index) => `${index === 0 ? head : indent}${line}`).join('\n');
}
