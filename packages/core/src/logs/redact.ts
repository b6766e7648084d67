const secretKey =
  /(password|passwd|secret|token|api[-_]?key|access[-_]?key|private[-_]?key|credential|authorization|cookie)/i;
const urlPassword = /([a-z][a-z0-9+.-]*:\/\/[^\s/:@]*):[^\s/@]+@/gi;
/** A lone name before the `@` of an http URL is a token, as Git hosts use it. */
const urlToken = /(https?:\/\/)[^\s/:@?#]+@/gi;
const queryToken = /([?&][\w-]*(?:token|key|secret|password|signature)=)[^&\s#]+/gi;
export const redacted = '[redacted]';

/** Whether a value under this key is nothing to show. */
export const isSecretKey = (key: string) => secretKey.test(key);

/** A copy in which values of secret-looking keys and passwords inside URLs are replaced. Cycles are cut. */
export function redact<T>(value: T): T {
  return visit(value, new WeakSet()) as T;
}

function redactText(text: string): string {
  return text
    .replace(urlPassword, `$1:${redacted}@`)
    .replace(urlToken, `$1${redacted}@`)
    .replace(queryToken, `$1${redacted}`);
}

function visit(value: unknown, seen: WeakSet<object>): unknown {
  if (typeof value === 'string') return redactText(value);
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof URL) return visit(value.href, seen);
  if (value instanceof Date) return value;
  if (seen.has(value)) return '[circular]';
  seen.add(value);
  const copy = Array.isArray(value)
    ? value.map((item) => visit(item, seen))
    : Object.fromEntries(
        Object.entries(value).map(([key, item]) => [
          key,
          isSecretKey(key) && isPresent(item) ? redacted : visit(item, seen),
        ]),
      );
  seen.delete(value);
  return copy;
}

const isPresent = (value: unknown) => value !== undefined && value !== null && value !== '' && value !== false;
