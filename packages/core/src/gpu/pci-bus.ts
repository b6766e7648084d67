/**
 * A PCI address as every source can be compared by: `0000:3b:00`. The kernel log writes `PCI:0000:3b:00`, nvidia-smi
 * `00000000:3B:00.0`; the function number is left out.
 */
export function pciBus(text: string): string | undefined {
  const found = /(?:PCI:)?([0-9a-f]{1,8}):([0-9a-f]{1,2}):([0-9a-f]{1,2})(?:\.[0-7])?$/i.exec(text.trim());
  if (!found) return undefined;
  const [domain = '', bus = '', device = ''] = found.slice(1).map((part) => Number.parseInt(part, 16).toString(16));
  return `${domain.padStart(4, '0')}:${bus.padStart(2, '0')}:${device.padStart(2, '0')}`;
}
