const units: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };

/**
 * A moment as people write it, in milliseconds since the epoch: how long ago (`10m`, `1h30m`, `90s`, `2d`, `1w`), or a time
 * in ISO 8601 (`2026-11-26`, `2026-11-26 12:00`, `2026-11-26T12:00:00Z`; without a zone it is the host's). Undefined when it
 * is neither.
 */
export function instantFromText(text: string, now: number): number | undefined {
  const trimmed = text.trim();
  if (/^(\d+(\.\d+)?[smhdw]){1,5}$/.test(trimmed)) {
    const parts = [...trimmed.matchAll(/(\d+(?:\.\d+)?)([smhdw])/g)];
    return now - parts.reduce((sum, [, count, unit = '']) => sum + Number(count) * (units[unit] ?? 0), 0);
  }
  if (!/^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?)?(Z|[+-]\d\d:?\d\d)?$/.test(trimmed)) return undefined;
  // A day alone would be one of UTC.
  const time = Date.parse(trimmed.length === 10 ? `${trimmed}T00:00` : trimmed.replace(' ', 'T'));
  return Number.isNaN(time) ? undefined : time;
}
