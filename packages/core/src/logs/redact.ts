export const redacted = '[redacted]';

/** Parts of a key, in kebab case, that make its value a secret: long words wherever they stand, short ones alone. */
const secretWords = [
  /pass(word|wd|phrase)|secret|token(?!iz)|credential|authorization|cookie|signature/,
  /(api|access|private|storage|account|signing|encrypt(ion)?|decrypt(ion)?|ssh|deploy|master|license)-?key/,
  /(^|-)(pwd|creds?|auth|pk|sig)(-|$)/,
  /-pass$/,
];
/** Keys that only speak about a secret: where it lies, how long it is. */
const aboutSecrets = [
  /-(file|path|dir|folder|name|count|limit|type|types)$/,
  /^(max|min|num|n|total|used|prompt|completion|input|output)-(\w+-)*tokens$/,
  /(^|-)tokens-per-/,
];

/** Whether a value under this key is nothing to show. */
export function isSecretKey(key: string): boolean {
  const kebab = key
    .replace(/([a-z0-9])([A-Z])|([A-Z])(?=[A-Z][a-z])/g, '$1$3-$2')
    .replace(/[^A-Za-z0-9]+/g, '-')
    .toLowerCase();
  return secretWords.some((each) => each.test(kebab)) && !aboutSecrets.some((each) => each.test(kebab));
}

/**
 * A copy in which values of secret-looking keys, and what looks like a secret inside texts, are replaced. Errors, maps
 * and sets become plain data; cycles are cut.
 */
export function redact<T>(value: T): T {
  return visit(value, new WeakSet()) as T;
}

/** Bounded, or anchored to the beginning of a word: a text may be a megabyte of base64. */
const textRules: readonly (readonly [RegExp, string | ((...match: string[]) => string)])[] = [
  [/-----BEGIN ([A-Z ]*PRIVATE KEY)-----[\s\S]*?(-----END \1-----|$)/g, redacted],
  // Up to the last @: a password may have some, and slashes. Digits and a slash after the colon are a port and a path.
  [/([a-z][a-z0-9+.-]{1,20}:\/\/[^\s/:@]*):(?!\d{1,5}(?:[/?#,;)\]}]|$))[^\s"'<>]+@/gim, `$1:${redacted}@`],
  // A lone name before the @ of an http URL is a token, as Git hosts use it.
  [/(https?:\/\/)[^\s/:@?#]+@/gi, `$1${redacted}@`],
  [/\b(bearer\s+|authorization:\s*\w+\s+)[\w.~+/=-]+/gi, `$1${redacted}`],
  // HF_TOKEN=…, --token=…, --token …, ?sig=…, "apiKey":"…"
  [
    /(?<![\w.-])(--)?(["']?)([\w.-]+)\2(=|\s*:\s*(?=["'])|\s+(?!-))("[^"]*"|'[^']*'|[^\s&#"',;]+)/g,
    (all, dashes = '', quote = '', name = '', separator = '', value = '') => {
      const isAssignment = separator === '=' || quote !== '' || (dashes !== '' && /^\s+$/.test(separator));
      if (!isAssignment || !isSecretKey(name) || value === redacted) return all;
      return `${dashes}${quote}${name}${quote}${separator}${redacted}`;
    },
  ],
];

const redactText = (text: string) =>
  textRules.reduce((rest, [pattern, replacement]) => rest.replace(pattern, replacement as string), text);

function visit(value: unknown, seen: WeakSet<object>): unknown {
  if (typeof value === 'string') return redactText(value);
  if (typeof value !== 'object' || value === null || value instanceof Date) return value;
  if (value instanceof URL) return redactText(value.href);
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
  if (seen.has(value)) return '[circular]';
  seen.add(value);
  const copy = copyOf(value, (inner) => visit(inner, seen));
  seen.delete(value);
  return copy;
}

function copyOf(value: object, inner: (value: unknown) => unknown): unknown {
  if (value instanceof Set) return [...value].map(inner);
  if (Array.isArray(value))
    return value.map((item, index) => (isSecretFlag(value[index - 1]) && isText(item) ? redacted : inner(item)));
  const pairs = value instanceof Map ? [...value] : Object.entries(value instanceof Error ? plain(value) : value);
  return Object.fromEntries(
    pairs.map(([key, item]) => [key, isSecretKey(String(key)) && isPresent(item) ? redacted : inner(item)]),
  );
}

/** What an error says of itself, its hidden parts included; the stack stays where it is. */
function plain(error: Error): object {
  const { name, message, cause } = error;
  const parts = {
    name,
    message,
    ...(error as object),
    cause,
    errors: error instanceof AggregateError ? error.errors : undefined,
  };
  return Object.fromEntries(Object.entries(parts).filter(([, part]) => part !== undefined));
}

/** `--token` in a list of arguments: the next one is its value. */
const isSecretFlag = (value: unknown) => typeof value === 'string' && /^--[\w-]+$/.test(value) && isSecretKey(value);
const isText = (value: unknown) => typeof value === 'string' && !value.startsWith('-');
const isPresent = (value: unknown) =>
  value !== undefined && value !== null && value !== '' && typeof value !== 'boolean';
