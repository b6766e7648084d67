/** How much of an instance's output is kept. A machine's configuration has `logging.instances`. */
export interface LogLimits {
  /** Bytes of the file above which its head is archived; once a day it is archived in any case. */
  readonly maxBytes: number;
  /** Archives kept of an instance. */
  readonly keepArchives: number;
  /** Bytes of an instance's archives, compressed. */
  readonly keepBytes: number;
  /** Days an archive is kept. */
  readonly keepDays: number;
  /** Bytes of all logs of a machine; the oldest archives go first. */
  readonly totalBytes: number;
  /**
   * Bytes of the file above which its head is given up, where it cannot be archived while somebody writes. Default: four
   * times `maxBytes`.
   */
  readonly hardCap?: number;
}

/** One MiB, in bytes. */
export const mebibyte = 1_048_576;

export const logLimits: LogLimits = {
  maxBytes: 50 * mebibyte,
  keepArchives: 5,
  keepBytes: 250 * mebibyte,
  keepDays: 30,
  totalBytes: 2_000 * mebibyte,
};
