import { reportError } from '@mgpu/core';
import type { CommandContext } from './commands/command.ts';
import { UsageError } from './errors.ts';
import { exitCodeOf } from './exit-code-of.ts';
import { createOutput } from './print/output.ts';

/** A command line as it was understood, and the signals of whoever sent it. */
export interface Invocation extends Omit<CommandContext, 'output'> {
  readonly json: boolean;
}

export type MachineCommand = (context: CommandContext) => Promise<number>;

/** How a boot that was called off ends, in this process or in a daemon of ours. */
const endsByWish = new Set(['CORE_START_ABORTED', 'CONTROL_DAEMON_DIED']);

/** Runs a command and ends the process with its exit code. */
export async function finish(command: MachineCommand, { json, ...context }: Invocation): Promise<void> {
  const output = createOutput(json);
  let code: number;
  try {
    code = await command({ output, ...context });
  } catch (error) {
    if (!isWish(error, context.interrupted)) output.error(error);
    code = exitCodeOf(error);
  }
  process.stdout.write('', () => process.exit(code));
}

/** Whoever interrupts a command knows why it ended. */
function isWish(error: unknown, interrupted: AbortSignal): boolean {
  return interrupted.aborted && (error === interrupted.reason || endsByWish.has(reportError(error).code));
}

/** Says what is wrong with a command line. */
export function refuse(problem: string, json: boolean): void {
  createOutput(json).error(new UsageError({ problem }));
}
