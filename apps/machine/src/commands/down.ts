import { ControlClient } from '@mgpu/control';
import { loadSettings } from '../settings.ts';
import { type CommandContext, type ExitCode, exitCodes } from './command.ts';

/** Stops every instance and the daemon. */
export async function down(
  { output, settings, interrupted }: CommandContext,
  { force }: { force: boolean },
): Promise<ExitCode> {
  const { socketPath } = await loadSettings(settings);
  await using client = new ControlClient({ socketPath });
  const { instances } = await client.status({ signal: interrupted });
  output.transient(`stopping ${instances.length} instances`);
  await client.down({ force, signal: interrupted });
  output.line('stopped');
  output.data('Down', { stopped: instances.map(({ id }) => id) });
  return exitCodes.done;
}
