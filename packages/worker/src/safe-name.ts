const maxSegmentBytes = 200;
const maxSegments = 6;
const fallback = 'artifact';

/**
 * A relative path that stays inside its folder on every system: no `..`, no absolute path, no control or reserved
 * characters, no hidden or over-long segment. Different names may become the same; the store keeps them apart.
 */
export function safeName(name: string): string {
  const segments = name
    .normalize('NFC')
    .split(/[/\\]+/)
    .map(safeSegment)
    .filter((segment) => segment !== '');
  return segments.slice(-maxSegments).join('/') || fallback;
}

/** The same name with a number before its extension: `a.png` → `a-2.png`. */
export function numberedName(name: string, number: number): string {
  const slash = name.lastIndexOf('/') + 1;
  const { stem, extension } = splitExtension(name.slice(slash));
  return `${name.slice(0, slash)}${stem}-${number}${extension}`;
}

function safeSegment(segment: string): string {
  const clean = segment
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is to be removed
    .replace(/[\u0000-\u001f\u007f<>:"|?*\ud800-\udfff]/gu, '_')
    .replace(/^[.\s]+|[.\s]+$/g, '');
  const { stem, extension } = splitExtension(clean);
  return cut(stem, maxSegmentBytes - Buffer.byteLength(extension)) + extension;
}

function splitExtension(segment: string): { stem: string; extension: string } {
  const dot = segment.lastIndexOf('.');
  if (dot <= 0 || segment.length - dot > 16) return { stem: segment, extension: '' };
  return { stem: segment.slice(0, dot), extension: segment.slice(dot) };
}

function cut(text: string, bytes: number): string {
  if (Buffer.byteLength(text) <= bytes) return text;
  let kept = '';
  let used = 0;
  for (const character of text) {
    used += Buffer.byteLength(character);
    if (used > bytes) break;
    kept += character;
  }
  return kept;
}
