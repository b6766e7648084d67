import { ControlClient, DaemonNotRunningError } from '@mgpu/control';
import { endLeftovers } from '../leftovers.ts';
import { StopView } from '../print/stop-view.ts';
import { locateMachine } from '../settings.ts';
import { type CommandContext, type ExitCode, exitCodes } from './command.ts';

/** Stops every instance and the daemon; without one, what a daemon that died left running. */
export async function down(context: CommandContext, { force }: { force: boolean }): Promise<ExitCode> {
  const { layout, socketPath } = await locateMachine(context.settings);
  try {
    return await stopDaemon(context, socketPath, force);
  } catch (error) {
    if (!(error instanceof DaemonNotRunningError)) throw error;
    const ended = await endLeftovers({ layout, socketPath }, force ? AbortSignal.abort() : context.interrupted);
    // Nothing was there at all.
    if (ended.length === 0) throw error;
    context.output.line(`no daemon was running; ended what one had left: ${ended.join(', ')}`);
    context.output.data('Down', { stopped: ended });
    return exitCodes.done;
  }
}

async function stopDaemon(
  { output, interrupted }: CommandContext,
  socketPath: string,
  force: boolean,
): Promise<ExitCode> {
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
