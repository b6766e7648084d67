/** Levels in the order of severity; a logger writes its own level and everything more severe. */
export const logLevels = ['error', 'warn', 'info', 'debug'] as const;
export type LogLevel = (typeof logLevels)[number];
export type LogFields = Readonly<Record<string, unknown>>;

/** Structured logging as the packages see it; nobody imports a logging library but `winston.ts`. */
export interface Logger {
  error(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  debug(message: string, fields?: LogFields): void;
  /** A logger that adds these fields to each line. */
  child(fields: LogFields): Logger;
}

/** A logger in front of one function, which gets the fields of its children, too. */
export function loggerTo(
  write: (level: LogLevel, message: string, fields: LogFields) => void,
  own: LogFields = {},
): Logger {
  const at = (level: LogLevel) => (message: string, fields?: LogFields) => write(level, message, { ...own, ...fields });
  return {
    error: at('error'),
    warn: at('warn'),
    info: at('info'),
    debug: at('debug'),
    child: (fields) => loggerTo(write, { ...own, ...fields }),
  };
}

export const silentLogger: Logger = {
  error() {},
  warn() {},
  info() {},
  debug() {},
  child: () => silentLogger,
};
