import { ControlClient, DaemonNotRunningError, type MachineStatus } from '@mgpu/control';
import type { InstanceStatus } from '@mgpu/core';
import { instancesText, statusText } from '../print/status-view.ts';
import type { Selection } from '../selectors.ts';
import { locateMachine } from '../settings.ts';
import { type CommandContext, type ExitCode, exitCodes } from './command.ts';
import { watchStatus } from './watch-status.ts';

export interface StatusOptions {
  /** Goes on until Ctrl-C. */
  readonly watch?: boolean | undefined;
  /** What is known of a machine without a daemon; loaded when there is none. */
  readonly withoutDaemon: () => Promise<typeof import('./status-without-daemon.ts')>;
}

/**
 * Tells how the machine is, without a daemon what there is to tell, and exit code 3; or how some of its instances are, with an
 * exit code that says whether all of them run.
 */
export async function status(
  context: CommandContext,
  select: Selection | undefined,
  { watch = false, withoutDaemon }: StatusOptions,
): Promise<ExitCode> {
  const { output, settings, interrupted } = context;
  const { layout, socketPath } = await locateMachine(settings);
  await using client = new ControlClient({ socketPath });
  const offline = async () => (await withoutDaemon()).offlineMachine(layout);
  if (watch) return await watchStatus({ client, output, select, offline, interrupted });
  let known: MachineStatus;
  try {
    known = await client.status({ signal: interrupted });
  } catch (error) {
    if (!(error instanceof DaemonNotRunningError)) throw error;
    const { report, text } = await offline();
    output.error(error, { offline: report });
    output.line(() => text({ width: output.width, now: Date.now() }));
    return exitCodes.notRunning;
  }
  const view = { width: output.width, now: Date.now() };
  if (!select) {
    output.data('Status', known);
    output.line(() => statusText(known, view));
    return exitCodes.done;
  }
  const instances = select(known);
  output.data('Status', { ...known, instances });
  output.line(() => instancesText(instances, view));
  const up = instances.filter(isUp).length;
  if (up === instances.length) return exitCodes.done;
  return up > 0 ? exitCodes.partly : exitCodes.failed;
}

const isUp = ({ state, health }: InstanceStatus) =>
  state === 'completed' || (state === 'running' && health !== 'notReady');
