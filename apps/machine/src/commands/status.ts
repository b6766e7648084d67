import { ControlClient } from '@mgpu/control';
import type { InstanceStatus } from '@mgpu/core';
import { instancesText, statusText } from '../print/status-view.ts';
import type { Selection } from '../selectors.ts';
import { locateMachine } from '../settings.ts';
import { type CommandContext, type ExitCode, exitCodes } from './command.ts';

/** Tells how the machine is; or how some of its instances are, with an exit code that says whether all of them run. */
export async function status({ output, settings, interrupted }: CommandContext, select?: Selection): Promise<ExitCode> {
  const { socketPath } = await locateMachine(settings);
  await using client = new ControlClient({ socketPath });
  const status = await client.status({ signal: interrupted });
  if (!select) {
    output.data('Status', status);
    output.line(() => statusText(status));
    return exitCodes.done;
  }
  const instances = select(status);
  output.data('Status', { ...status, instances });
  output.line(() => instancesText(instances));
  const up = instances.filter(isUp).length;
  if (up === instances.length) return exitCodes.done;
  return up > 0 ? exitCodes.partly : exitCodes.failed;
}

const isUp = ({ state, health }: InstanceStatus) =>
  state === 'completed' || (state === 'running' && health !== 'notReady');
