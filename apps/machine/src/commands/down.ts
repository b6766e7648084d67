import { ControlClient } from '@mgpu/control';
import { StopView } from '../print/stop-view.ts';
import { locateMachine } from '../settings.ts';
import { type CommandContext, type ExitCode, exitCodes } from './command.ts';

/** Stops every instance and the daemon. */
export async function down(
  { output, settings, interrupted }: CommandContext,
  { force }: { force: boolean },
): Promise<ExitCode> {
  const { socketPath } = await locateMachine(settings);
  await using client = new ControlClient({ socketPath });
  const { instances } = await client.status({ signal: interrupted });
  const view = new StopView(output, instances);
  const stopped = new AbortController();
  const watching = watch(client, view, AbortSignal.any([stopped.signal, interrupted]));
  try {
    await client.down({ force, signal: interrupted });
  } finally {
    stopped.abort();
    await watching;
  }
  output.line('stopped');
  output.data('Down', { stopped: instances.map(({ id }) => id) });
  return exitCodes.done;
}

/** Only for show: how the stop went, its own answer says. */
async function watch(client: ControlClient, view: StopView, signal: AbortSignal): Promise<void> {
  try {
    for await (const event of client.events({ signal })) view.show(event);
  } catch {
    // the daemon ended, or the watch did
  }
}
