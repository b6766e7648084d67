import { reportError } from '@mgpu/core';
import { type ExitCode, exitCodes } from './commands/exit-codes.ts';

/** What an error's code means for the shell; everything else is 1. */
const byError: Readonly<Record<string, ExitCode>> = {
  CONTROL_NOT_RUNNING: exitCodes.notRunning,
  CORE_CONFIG_INVALID: exitCodes.usage,
  CORE_CONFIG_NOT_FOUND: exitCodes.usage,
  CORE_DEFINITION_INVALID: exitCodes.usage,
  CORE_DEPENDENCY_CYCLE: exitCodes.usage,
  CORE_GPU_OUT_OF_RANGE: exitCodes.usage,
  CORE_GPU_UNKNOWN: exitCodes.usage,
  CORE_PLUGIN: exitCodes.usage,
  CORE_PORT_DUPLICATE: exitCodes.usage,
  CORE_SELECTOR_UNKNOWN: exitCodes.usage,
  MACHINE_ROOT_UNKNOWN: exitCodes.usage,
  MACHINE_SUBJECT_UNKNOWN: exitCodes.usage,
  MACHINE_USAGE: exitCodes.usage,
};

export const exitCodeOf = (error: unknown): ExitCode => byError[reportError(error).code] ?? exitCodes.failed;
