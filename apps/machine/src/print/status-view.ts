import { stripVTControlCharacters } from 'node:util';
import type { IncidentSummary, MachineStatus } from '@mgpu/control';
import type { InstanceStatus, QueueDepth, WorkInHand } from '@mgpu/core';
import { headline } from './boot-view.ts';
import { paint } from './colours.ts';
import { gpuTable } from './gpu-table.ts';
import { table } from './table.ts';
import { age, clip, marks, paragraph } from './text.ts';

const gap = 2;
const leastDoing = 12;
const longestReason = 300;

export interface ViewOptions {
  /** Columns. */
  readonly width: number;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/** The machine for people, on one screen: GPUs, instances, the queue, and below what is wrong. */
export function statusText(status: MachineStatus, options: ViewOptions): string {
  const { width, now } = options;
  const note = noteOf(width);
  const outOfService = status.gpus.flatMap(({ index, outOfService: why }) =>
    why ? [note(`GPU ${index} is out of service: ${why.reason} (${why.hint})`)] : [],
  );
  const up = `up ${age(now - Date.parse(status.daemon.startedAt))}`;
  const below = [
    ...(status.queues ? queueLines(status.queues, width) : []),
    ...(status.lastIncident ? [incidentLine(status.lastIncident, options)] : []),
    ...status.problems.map(({ message }) => note(message)),
    ...outOfService,
    ...reasonsOf(status.instances, width),
  ];
  const [done, shown] = [status.instances.filter(isDone), status.instances.filter((each) => !isDone(each))];
  const doneNames = done.map(({ id }) => id).join(', ');
  return [
    headline(status, { width, more: [up] }),
    gpuTable(status.gpus, options),
    instanceTable(shown, options),
    [...(done.length > 0 ? [paragraph(`${paint.dim('done')}  `, doneNames, width)] : []), ...below].join('\n'),
  ]
    .filter((part) => part !== '')
    .join('\n\n');
}

/** Some instances for people: a line each, and why any of them is not well. */
export function instancesText(instances: readonly InstanceStatus[], options: ViewOptions): string {
  return [instanceTable(instances, options), ...reasonsOf(instances, options.width)].join('\n');
}

const noteOf = (width: number) => (text: string) => paragraph(`${marks.warning} `, clip(text, longestReason), width);

const reasonsOf = (instances: readonly InstanceStatus[], width: number) =>
  instances.flatMap(({ id, reason }) =>
    reason ? [noteOf(width)(`${id}: ${reason.message.replace(`${id}: `, '')}`)] : [],
  );

/** Steps of the boot that ended well: nobody has to look at them. */
const isDone = ({ state, reason }: InstanceStatus) => state === 'completed' && reason === undefined;

function instanceTable(instances: readonly InstanceStatus[], { width, now }: ViewOptions): string {
  if (instances.length === 0) return '';
  const head = ['instance', 'state', 'pid', 'port', 'up', 'restarts', 'doing'];
  const rows = instances.map((each) => [
    each.id,
    stateOf(each),
    each.pid === undefined ? '' : String(each.pid),
    each.port === undefined ? '' : String(each.port),
    each.startedAt === undefined ? '' : age(now - Date.parse(each.startedAt)),
    each.attempt === 0 && each.pid === undefined ? '' : String(each.attempt),
  ]);
  const widthOf = (column: number) =>
    Math.max(...[head, ...rows].map((row) => stripVTControlCharacters(row[column] ?? '').length));
  const taken = rows[0]?.reduce((sum, _cell, column) => sum + widthOf(column) + gap, 0) ?? 0;
  const room = Math.max(leastDoing, width - taken);
  return table(
    head,
    rows.map((row, index) => [...row, clip(doingOf(instances[index], now), room)]),
  );
}

function stateOf({ state, health }: InstanceStatus): string {
  if (state === 'running')
    return health === 'ready' ? paint.green('ready') : paint.yellow(health === 'notReady' ? 'not ready' : health);
  return state === 'failed' || state === 'unkillable' ? paint.red(state) : state;
}

/** What matters most comes first: the rest may not fit. */
function doingOf(instance: InstanceStatus | undefined, now: number): string {
  if (!instance) return '';
  const { work = [], state, until, since } = instance;
  const [first] = work.toSorted((a, b) => a.since.localeCompare(b.since));
  if (first) return `${workText(first, now)}${work.length > 1 ? ` +${work.length - 1}` : ''}`;
  if (until !== undefined) return `next start in ${age(Date.parse(until) - now)}`;
  return state === 'starting' || state === 'stopping' || state === 'cleaning' ? age(now - Date.parse(since)) : '';
}

function workText({ job, since, progress }: WorkInHand, now: number): string {
  const { percent, step, steps, node } = progress ?? {};
  const at = step === undefined ? '' : ` step ${step}${steps === undefined ? '' : `/${steps}`}`;
  const where = node === undefined ? '' : ` (${node}${at})`;
  return `${percent === undefined ? '' : `${Math.round(percent)} % `}${age(now - Date.parse(since))} ${job}${where || at}`;
}

function queueLines(queues: readonly QueueDepth[], width: number): string[] {
  if (queues.length === 0) return [];
  const parts = queues.map(({ type, waiting, active, delayed, failed }) => {
    const counts = [
      `${waiting} waiting`,
      `${active} active`,
      ...(delayed > 0 ? [`${delayed} delayed`] : []),
      ...(failed > 0 ? [paint.yellow(`${failed} failed`)] : []),
    ];
    return `${type} ${counts.join(', ')}`;
  });
  return [paragraph(`${paint.dim('queue')}  `, parts.join(' · '), width)];
}

/** One line that says where to read on. */
export function incidentLine({ at, subject, message, outcome, severity }: IncidentSummary, options: ViewOptions) {
  const what = `${age(options.now - Date.parse(at))} ago ${message}`;
  const came = outcome === undefined ? '' : ` → ${outcome}`;
  const colour = severity === 'critical' || severity === 'error' ? paint.red : paint.yellow;
  const head = `${colour('last incident')}  `;
  return paragraph(head, `${clip(`${what}${came}`, longestReason)} (mgpu why ${subject})`, options.width);
}
