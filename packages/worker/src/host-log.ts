import { type Logger, loggerTo, redact } from '@mgpu/core/jobs';

/** One line an event for the instance's log: time, level, message, fields as JSON. */
export const hostLog = (write: (line: string) => void): Logger =>
  loggerTo((level, message, fields) => {
    if (level === 'debug') return;
    const rest = Object.keys(fields).length === 0 ? '' : ` ${JSON.stringify(redact(fields))}`;
    write(`${new Date().toISOString()} ${level} ${redact(message)}${rest}\n`);
  });
