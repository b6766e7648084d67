import { type LogFields, type Logger, type LogLevel, MgpuError, redact, reportError } from '@mgpu/core/jobs';

/** One line an event for the instance's log: time, level, message, fields as JSON. */
export function hostLog(write: (line: string) => void, base: LogFields = {}): Logger {
  const at = (level: LogLevel) => (message: string, fields?: LogFields) => {
    const shown = Object.fromEntries(Object.entries({ ...base, ...fields }).map(([key, value]) => [key, plain(value)]));
    const rest = Object.keys(shown).length === 0 ? '' : ` ${JSON.stringify(redact(shown))}`;
    write(`${new Date().toISOString()} ${level} ${redact(message)}${rest}\n`);
  };
  return {
    error: at('error'),
    warn: at('warn'),
    info: at('info'),
    debug: () => {},
    child: (fields) => hostLog(write, { ...base, ...fields }),
  };
}

const plain = (value: unknown) => (value instanceof MgpuError || value instanceof Error ? reportError(value) : value);
