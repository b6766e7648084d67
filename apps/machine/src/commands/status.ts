import { ControlClient } from '@mgpu/control';
import { statusText } from '../print/status-view.ts';
import { locateMachine } from '../settings.ts';
import { type CommandContext, type ExitCode, exitCodes } from './command.ts';

/** Tells how the machine is. */
export async function status({ output, settings, interrupted }: CommandContext): Promise<ExitCode> {
  const { socketPath } = await locateMachine(settings);
  await using client = new ControlClient({ socketPath });
  const status = await client.status({ signal: interrupted });
  output.data('Status', status);
  output.line(() => statusText(status));
  return exitCodes.done;
}
