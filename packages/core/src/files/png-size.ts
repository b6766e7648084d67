/** Pixels of a PNG file, from its head (PNG specification §5.2, §11.2.1); undefined for anything else. */
export function pngSize(file: Uint8Array): { readonly width: number; readonly height: number } | undefined {
  const head = Buffer.from(file.buffer, file.byteOffset, Math.min(file.byteLength, 24));
  const isPng = head.length === 24 && head.toString('latin1', 1, 4) === 'PNG';
  if (!isPng || head.toString('latin1', 12, 16) !== 'IHDR') return undefined;
  return { width: head.readUInt32BE(16), height: head.readUInt32BE(20) };
}
