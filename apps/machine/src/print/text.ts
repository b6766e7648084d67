import pc from 'picocolors';

/** `4 ms`, `1.24 s`, `2 min 05 s`. */
export function duration(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 100_000) return `${(ms / 1_000).toFixed(2)} s`;
  const seconds = Math.round(ms / 1_000);
  return `${Math.floor(seconds / 60)} min ${String(seconds % 60).padStart(2, '0')} s`;
}

export function fileSize(bytes: number): string {
  if (bytes < 1_000) return `${bytes} B`;
  return bytes < 1_000_000 ? `${(bytes / 1_000).toFixed(1)} kB` : `${(bytes / 1_000_000).toFixed(1)} MB`;
}

export const marks = {
  ok: pc.green('✔'),
  failed: pc.red('✖'),
  skipped: pc.yellow('–'),
  cancelled: pc.yellow('–'),
  running: pc.cyan('…'),
} as const;

/** The text cut to a width, with an ellipsis. */
export const clip = (text: string, width: number) => (text.length <= width ? text : `${text.slice(0, width - 1)}…`);
