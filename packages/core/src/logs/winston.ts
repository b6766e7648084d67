import winston from 'winston';
import 'winston-daily-rotate-file';
import { reportError } from '../errors/mgpu-error.ts';
import { type LogFields, type Logger, type LogLevel, loggerTo } from './logger.ts';
import { redact } from './redact.ts';

/** How the daemon's own log is kept. */
export interface DaemonLogOptions {
  /** Folder of the files `<name>-YYYY-MM-DD.log`, one JSON object a line; nothing is written to disk without it. */
  readonly dir?: string;
  /** Default `mgpu`, the daemon's own log. */
  readonly name?: string;
  readonly level?: LogLevel;
  /** Size at which a file is cut within its day. Default 20 MiB. */
  readonly maxSizeMiB?: number;
  /** Days a file is kept. Default 14. */
  readonly maxDays?: number;
  /** Also write readable lines to standard error. Default false. */
  readonly console?: boolean;
}

/** The daemon's logger, and how to flush and close it. */
export interface DaemonLog {
  readonly log: Logger;
  close(): Promise<void>;
}

/** What the rotating file writes to. */
type DailyFile = winston.transport & { readonly logStream: NodeJS.WritableStream };

const redaction = winston.format((info) => Object.assign(info, redact({ ...info })));

/** JSON lines with levels, daily and size rotation and redaction. A full disk or a vanished folder never throws. */
export function createDaemonLog(options: DaemonLogOptions = {}): DaemonLog {
  const { dir, level = 'info', console = false } = options;
  let isReported = false;
  const report = (error: unknown) => {
    if (!isReported)
      process.stderr.write(`mgpu: the daemon log in ${dir} cannot be written: ${reportError(error).message}\n`);
    isReported = true;
  };
  const file = dir === undefined ? undefined : openFile(dir, options, report);
  const transports: winston.transport[] = file ? [file] : [];
  if (console) {
    const line = winston.format.printf(({ level, message, instance }) =>
      [`${level}:`, instance && `${String(instance)}:`, message].filter(Boolean).join(' '),
    );
    transports.push(new winston.transports.Console({ stderrLevels: ['error', 'warn', 'info', 'debug'], format: line }));
  }
  const root = winston.createLogger({
    level,
    levels: { error: 0, warn: 1, info: 2, debug: 3 },
    format: redaction(),
    transports,
    silent: transports.length === 0,
  });
  root.on('error', report);
  let closed: Promise<void> | undefined;
  const close = async () => {
    await new Promise<void>((resolve) => {
      root.once('finish', () => resolve());
      root.end();
    });
    // The library's own end does not wait for the bytes to be in the file.
    if (file) await new Promise<void>((resolve) => file.logStream.end(() => resolve()));
  };
  const write = (level: LogLevel, message: string, fields: LogFields) => {
    // The library would format, and redact, what it does not write.
    if (closed || !root.isLevelEnabled(level)) return;
    try {
      // As one object: winston joins fields called `message` to the text and drops fields when the text holds `%s`.
      root.log({ ...fields, level, message });
    } catch (error) {
      report(error);
    }
  };
  return {
    log: loggerTo(write),
    close: () => {
      closed ??= close();
      return closed;
    },
  };
}

/** Undefined when not even the folder can be made. */
function openFile(
  dir: string,
  { name = 'mgpu', maxSizeMiB = 20, maxDays = 14 }: DaemonLogOptions,
  onError: (error: unknown) => void,
): DailyFile | undefined {
  try {
    const file = new winston.transports.DailyRotateFile({
      dirname: dir,
      filename: `${name}-%DATE%.log`,
      auditFile: `${dir}/.rotation${name === 'mgpu' ? '' : `-${name}`}.json`,
      // The library takes whole numbers only.
      maxSize: `${Math.ceil(maxSizeMiB * 1_024)}k`,
      maxFiles: `${maxDays}d`,
      format: winston.format.combine(winston.format.timestamp(), winston.format.json()),
    }) as DailyFile;
    // Nobody else listens there, and an unheard error would end the daemon.
    file.logStream.on('error', onError);
    return file;
  } catch (error) {
    onError(error);
    return undefined;
  }
}
