/** Python's `repr` of a JSON value, as ComfyUI's messages show received values. */
export function pyRepr(value: unknown): string {
  if (value === null || value === undefined) return 'None';
  if (value === true) return 'True';
  if (value === false) return 'False';
  if (typeof value === 'string') return reprString(value);
  if (Array.isArray(value)) return `[${value.map(pyRepr).join(', ')}]`;
  if (typeof value === 'object')
    return `{${Object.entries(value)
      .map(([key, item]) => `${reprString(key)}: ${pyRepr(item)}`)
      .join(', ')}}`;
  return String(value);
}

function reprString(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const escaped = text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('\r', '\\r').replaceAll('\t', '\\t');
  return quote + (quote === "'" ? escaped.replaceAll("'", "\\'") : escaped) + quote;
}

/** Python's `str` of a JSON value. */
export const pyStr = (value: unknown): string => (typeof value === 'string' ? value : pyRepr(value));

/** `json.dumps` with its default separators and ASCII escapes: what the PNG text chunks and binary frames hold. */
export function pyJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(pyJson).join(', ')}]`;
  if (value !== null && typeof value === 'object') {
    return `{${Object.entries(value)
      .map(([key, item]) => `${pyJson(key)}: ${pyJson(item)}`)
      .join(', ')}}`;
  }
  return (JSON.stringify(value) ?? 'null').replace(
    /[\u007f-\uffff]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** A Python exception raised inside a node or while validating. */
export class PythonError extends Error {
  readonly type: string;
  constructor(type: string, message: string) {
    super(message);
    this.type = type;
  }
}

const TYPE_NAMES: Record<string, string> = { object: 'dict', string: 'str', boolean: 'bool', number: 'float' };
const typeName = (value: unknown) =>
  value === null || value === undefined
    ? 'NoneType'
    : Array.isArray(value)
      ? 'list'
      : (TYPE_NAMES[typeof value] ?? 'object');

/** `int(value)`. */
export function pyInt(value: unknown): number {
  if (typeof value === 'number') return Math.trunc(value);
  if (typeof value === 'boolean') return Number(value);
  if (typeof value !== 'string') {
    throw new PythonError(
      'TypeError',
      `int() argument must be a string, a bytes-like object or a real number, not '${typeName(value)}'`,
    );
  }
  const digits = value.trim().replaceAll(/(?<=\d)_(?=\d)/g, '');
  if (!/^[+-]?\d+$/.test(digits))
    throw new PythonError('ValueError', `invalid literal for int() with base 10: ${pyRepr(value)}`);
  return Number(digits);
}

/** `float(value)`. */
export function pyFloat(value: unknown): number {
  if (typeof value === 'number') return value;
  if (typeof value === 'boolean') return Number(value);
  if (typeof value !== 'string')
    throw new PythonError('TypeError', `float() argument must be a string or a real number, not '${typeName(value)}'`);
  const text = value.trim();
  if (/^[+-]?(inf(inity)?|nan)$/i.test(text))
    return /nan/i.test(text) ? Number.NaN : text.startsWith('-') ? -Infinity : Infinity;
  if (!/^[+-]?(\d[\d_]*\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text))
    throw new PythonError('ValueError', `could not convert string to float: ${pyRepr(value)}`);
  return Number(text.replaceAll('_', ''));
}
