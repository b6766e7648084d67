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

function typeName(value: unknown): string {
  if (value === null || value === undefined) return 'NoneType';
  if (Array.isArray(value)) return 'list';
  if (typeof value === 'number') return Number.isInteger(value) ? 'int' : 'float';
  return typeof value === 'string' ? 'str' : typeof value === 'boolean' ? 'bool' : 'dict';
}

/** What `value.name` raises. */
export const noAttribute = (value: unknown, name: string): PythonError =>
  new PythonError('AttributeError', `'${typeName(value)}' object has no attribute '${name}'`);

/** What `left - right` raises. */
export const noDifference = (left: string, right: unknown): PythonError =>
  new PythonError('TypeError', `unsupported operand type(s) for -: '${left}' and '${typeName(right)}'`);

/** `value[key]` of a JSON value. */
export function pyItem(value: unknown, key: string | number): unknown {
  if (typeof value === 'string' || Array.isArray(value)) {
    const kind =
      typeof value === 'string' ? 'string indices must be integers' : 'list indices must be integers or slices';
    if (typeof key === 'string')
      throw new PythonError('TypeError', `${kind}, not ${typeof value === 'string' ? "'str'" : 'str'}`);
    if (key < value.length) return value[key];
    throw new PythonError('IndexError', `${typeof value === 'string' ? 'string' : 'list'} index out of range`);
  }
  if (value === null || typeof value !== 'object')
    throw new PythonError('TypeError', `'${typeName(value)}' object is not subscriptable`);
  if (Object.hasOwn(value, key)) return (value as Record<string, unknown>)[key];
  throw new PythonError('KeyError', pyRepr(key));
}

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
