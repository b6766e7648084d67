import { ControlClient, DaemonNotRunningError, DaemonRunningError } from '@mgpu/control';
import { systemClock } from '@mgpu/core';
import { endLeftovers } from '../leftovers.ts';
import { StopView } from '../print/stop-view.ts';
import { type Location, locateMachine } from '../settings.ts';
import { type CommandContext, type ExitCode, exitCodes } from './command.ts';

/** Stops every instance and the daemon; without one, what a daemon that died left running. */
export async function down(context: CommandContext, { force }: { force: boolean }): Promise<ExitCode> {
  const { layout, socketPath } = await locateMachine(context.settings);
  try {
    return await stopDaemon(context, socketPath, force);
  } catch (error) {
    if (!(error instanceof DaemonNotRunningError)) throw error;
    // Nothing was there at all.
    if ((await endAbandoned(context, { layout, socketPath }, force)).length === 0) throw error;
    return exitCodes.done;
  }
}

/** Milliseconds between two looks at whether a daemon has come. */
const lookMs = 250;

/** Ends what a daemon has left, when no other goes on with it in that time: then there is nothing to do. */
export async function downIfAbandoned(
  context: CommandContext,
  { force, afterMs }: { force: boolean; afterMs: number },
): Promise<ExitCode> {
  const { output, interrupted, settings } = context;
  const location = await locateMachine(settings);
  await using client = new ControlClient(location);
  let isThere = false;
  for (let leftMs = afterMs; !isThere && leftMs > 0; leftMs -= lookMs) {
    await systemClock.sleep(Math.min(lookMs, leftMs), { signal: interrupted });
    isThere = await isDaemonThere(client);
  }
  const ended = isThere ? [] : await endAbandoned(context, location, force).catch(noneWhenRunning);
  if (ended.length === 0) {
    output.line(`nothing to do: ${(await isDaemonThere(client)) ? 'a daemon is running' : 'nothing was left'}`);
    output.data('Down', { stopped: [] });
  }
  return exitCodes.done;
}

/** For a daemon that came at the last moment. */
function noneWhenRunning(error: unknown): readonly string[] {
  if (error instanceof DaemonRunningError) return [];
  throw error;
}

/** One that does not answer, or not us, is one all the same. */
const isDaemonThere = (client: ControlClient) =>
  client.status().then(
    () => true,
    (error: unknown) => !(error instanceof DaemonNotRunningError),
  );

/** The instances that were ended, and are told of. */
async function endAbandoned(
  { output, interrupted }: CommandContext,
  location: Location,
  force: boolean,
): Promise<readonly string[]> {
  const ended = await endLeftovers(location, force ? AbortSignal.abort() : interrupted);
  if (ended.length > 0) output.line(`no daemon was running; ended what one had left: ${ended.join(', ')}`);
  if (ended.length > 0) output.data('Down', { stopped: ended });
  return ended;
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
