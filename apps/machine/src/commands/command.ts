import type { Output } from '../print/output.ts';
import type { SettingsOptions } from '../settings.ts';

/** What every command gets. */
export interface CommandContext {
  readonly output: Output;
  /** Settings as far as the global options name them. */
  readonly settings: SettingsOptions;
  /** Fires at the first Ctrl-C or SIGTERM. */
  readonly interrupted: AbortSignal;
  /** Fires at the second one. */
  readonly impatient: AbortSignal;
}

/** What SIGTERM and Ctrl-C mean to a daemon: stop everything, or leave it running for the next daemon. */
export type OnTerm = 'down' | 'keep';

export { type ExitCode, exitCodes } from './exit-codes.ts';
