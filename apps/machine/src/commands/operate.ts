import { ControlClient } from '@mgpu/control';
import type { InstanceVerb } from '@mgpu/core';
import { outcomesText } from '../print/outcomes-view.ts';
import type { Selection } from '../selectors.ts';
import { locateMachine } from '../settings.ts';
import { type CommandContext, type ExitCode, exitCodes } from './command.ts';

export interface OperateFlags {
  /** Kill at once instead of waiting for graceful ends. */
  readonly force?: boolean | undefined;
  /** Only those that run by other settings than those in force. */
  readonly outdated?: boolean | undefined;
}

const doing = { start: 'starting', stop: 'stopping', restart: 'restarting' } as const;

/** Starts, stops or restarts the instances that are selected, and tells of each what came of it. */
export async function operate(
  { output, settings, interrupted }: CommandContext,
  verb: InstanceVerb,
  select: Selection,
  { force = false, outdated = false }: OperateFlags = {},
): Promise<ExitCode> {
  const { socketPath } = await locateMachine(settings);
  await using client = new ControlClient({ socketPath });
  const status = await client.status({ signal: interrupted });
  const selected = select(status).filter((each) => !outdated || each.outdated);
  const ids = selected.map(({ id }) => id);
  if (ids.length > 0) output.transient(`${doing[verb]} ${ids.join(', ')}`);
  const outcomes = ids.length > 0 ? await client.operate(verb, ids, { force, signal: interrupted }) : [];
  output.data('Instances', outcomes);
  output.line(() => outcomesText(verb, selected, outcomes));
  const failed = outcomes.filter(({ error }) => error !== undefined).length;
  if (failed === 0) return exitCodes.done;
  return failed < outcomes.length ? exitCodes.partly : exitCodes.failed;
}
