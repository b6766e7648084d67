import { ControlClient, DaemonNotRunningError } from '@mgpu/control';
import { type BootReport, latestBoot } from '@mgpu/core';
import { NoBootError } from '../errors.ts';
import { phasesText } from '../print/phases-view.ts';
import { locateMachine } from '../settings.ts';
import { type CommandContext, type ExitCode, exitCodes } from './command.ts';

/** The boot under way, or the last one: what was done, in what time, and what came of it. Throws `MACHINE_NO_BOOT`. */
export async function phases({ output, settings, interrupted }: CommandContext): Promise<ExitCode> {
  const { layout, socketPath } = await locateMachine(settings);
  const own = await bootOfDaemon(socketPath, interrupted);
  const boot = own ?? (await latestBoot(layout.state));
  if (!boot) throw new NoBootError({ root: layout.root });
  output.data('Boot', boot);
  output.line(() => phasesText(boot, { isUnderWay: own !== undefined }));
  return exitCodes.done;
}

async function bootOfDaemon(socketPath: string, signal: AbortSignal): Promise<BootReport | undefined> {
  await using client = new ControlClient({ socketPath });
  try {
    const { boot } = await client.status({ signal });
    // Whoever ends what a dead daemon left has no boot of its own.
    return boot.phases.length > 0 ? boot : undefined;
  } catch (error) {
    if (error instanceof DaemonNotRunningError) return undefined;
    throw error;
  }
}
