const esc = String.fromCharCode(27);

/** Escape sequences, whole as far as they are there, and control characters but for the tab. */
const control = new RegExp(
  [
    `${esc}(?:`,
    '\\[[0-?]*[ -/]*[@-~]', // CSI
    `|[\\]PX^_][^\\u0007${esc}\\u009C]*(?:\\u0007|${esc}\\\\|\\u009C)?`, // OSC, DCS and other strings
    '|[ -/]*[0-~]',
    ')?',
    '|[\\u0000-\\u0008\\u000A-\\u001F\\u007F-\\u009F]',
  ].join(''),
  'g',
);
const colour = new RegExp(`^${esc}\\[[\\d;:]*m$`);

/**
 * Text of somebody else as a terminal may get it: of its control sequences at most the colours are left, and end with it.
 */
export function printable(text: string, { colours }: { colours: boolean }): string {
  let isColoured = false;
  const clean = text.replace(control, (sequence) => {
    if (!colours || !colour.test(sequence)) return '';
    isColoured = true;
    return sequence;
  });
  return isColoured ? `${clean}${esc}[0m` : clean;
}
