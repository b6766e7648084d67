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

/** Exit codes of every command. */
export const exitCodes = { done: 0, failed: 1, usage: 2, notRunning: 3, partly: 4 } as const;
export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];
