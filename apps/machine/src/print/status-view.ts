import type { MachineStatus } from '@mgpu/control';
import type { InstanceStatus } from '@mgpu/core';
import pc from 'picocolors';
import { headline } from './boot-view.ts';
import { table } from './table.ts';
import { clip, duration, marks, paragraph } from './text.ts';

/** The machine for people: one line each, reasons below. */
export function statusText(status: MachineStatus): string {
  const problems = status.problems.map(({ message }) => paragraph(`${marks.warning} `, message));
  return [headline(status), instancesText(status.instances, problems)].filter(Boolean).join('\n');
}

/** Instances for people: one line each, then what else there is to say, then why any of them is not well. */
export function instancesText(instances: readonly InstanceStatus[], remarks: readonly string[] = []): string {
  const rows = instances.map((each) => [
    each.id,
    colour(each),
    each.gpu === undefined ? '' : String(each.gpu),
    each.port === undefined ? '' : String(each.port),
    each.pid === undefined ? '' : String(each.pid),
    duration(Math.max(0, Date.now() - Date.parse(each.since))),
  ]);
  const reasons = instances.flatMap(({ id, reason }) =>
    reason ? [paragraph(`${marks.warning} `, clip(`${id}: ${reason.message.replace(`${id}: `, '')}`, 300))] : [],
  );
  return [table(['instance', 'state', 'gpu', 'port', 'pid', 'for'], rows), ...remarks, ...reasons].join('\n');
}

function colour({ state, health }: InstanceStatus): string {
  if (state === 'running')
    return health === 'ready' ? pc.green('ready') : pc.yellow(health === 'notReady' ? 'not ready' : health);
  return state === 'failed' || state === 'unkillable' ? pc.red(state) : state;
}
