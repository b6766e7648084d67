import type { MachineStatus } from '@mgpu/control';
import type { InstanceStatus } from '@mgpu/core';
import pc from 'picocolors';
import { headline } from './boot-view.ts';
import { table } from './table.ts';
import { clip, duration, marks, paragraph } from './text.ts';

/** The machine for people: one line each, reasons below. */
export function statusText(status: MachineStatus): string {
  const rows = status.instances.map((each) => [
    each.id,
    colour(each),
    each.gpu === undefined ? '' : String(each.gpu),
    each.port === undefined ? '' : String(each.port),
    each.pid === undefined ? '' : String(each.pid),
    duration(Math.max(0, Date.now() - Date.parse(each.since))),
  ]);
  const reasons = status.instances.flatMap(({ id, reason }) =>
    reason ? [paragraph(`${marks.warning} `, clip(`${id}: ${reason.message.replace(`${id}: `, '')}`, 300))] : [],
  );
  const problems = status.problems.map(({ message }) => paragraph(`${marks.warning} `, message));
  const parts = [
    headline(status),
    table(['instance', 'state', 'gpu', 'port', 'pid', 'for'], rows),
    ...problems,
    ...reasons,
  ];
  return parts.filter(Boolean).join('\n');
}

function colour({ state, health }: InstanceStatus): string {
  if (state === 'running')
    return health === 'ready' ? pc.green('ready') : pc.yellow(health === 'notReady' ? 'not ready' : health);
  return state === 'failed' || state === 'unkillable' ? pc.red(state) : state;
}
