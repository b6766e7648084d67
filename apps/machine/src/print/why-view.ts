import type { InstanceStatus } from '@mgpu/core';
import type { Incident } from '@mgpu/watchdog';
import { paint } from './colours.ts';
import { clip, duration, lineWidth, marks, paragraph } from './text.ts';

export interface WhyView {
  readonly subject: string;
  /** How it is now; undefined for what is no instance, and without a daemon. */
  readonly present: InstanceStatus | undefined;
  readonly isRunning: boolean;
  readonly incidents: readonly Incident[];
}

const shownIncidents = 10;
const shownLines = 8;
const indent = '    ';

/** What happened, oldest first, with what was done about it; how it is now stands below. */
export function whyText({ subject, present, isRunning, incidents }: WhyView): string {
  const left = incidents.length - shownIncidents;
  return [
    incidents.length === 0 ? `nothing is known to have gone wrong with ${subject}` : '',
    left > 0 ? paint.dim(`${left} earlier incidents; --json has them all`) : '',
    ...incidents.slice(-shownIncidents).map(incidentText),
    isRunning ? presentText(present) : 'no daemon is running on this root',
  ]
    .filter(Boolean)
    .join('\n');
}

function incidentText({ at, severity, cause, evidence, lastWords, actions }: Incident): string {
  const mark = severity === 'info' || severity === 'warning' ? marks.warning : marks.error;
  const quote = (line: string) => paint.dim(`${indent}│ ${clip(line, lineWidth - indent.length - 2)}`);
  return [
    paragraph(`${mark} `, `${dayAndTime(at)} ${cause.message} (${cause.code})`),
    ...evidence.slice(-shownLines).map(({ text }) => paragraph(`${indent}• `, text)),
    ...lastWords.slice(-shownLines).map(quote),
    ...actions.map((action) => paragraph(`${indent}→ `, `${timeOf(action.at)} ${action.what}`)),
    ...(cause.hint === undefined ? [] : [paragraph(`${indent}${paint.dim('cure:')} `, cause.hint)]),
  ].join('\n');
}

function presentText(present: InstanceStatus | undefined): string {
  if (!present) return '';
  const { id, state, health, since, reason } = present;
  const how = state === 'running' ? `${state}, ${health}` : state;
  const age = duration(Math.max(0, Date.now() - Date.parse(since)));
  return paragraph('now: ', `${id} is ${how} for ${age}${reason ? `: ${clip(reason.message, 300)}` : ''}`);
}

const dayAndTime = (iso: string) => iso.replace('T', ' ').replace(/\.\d+Z$/, 'Z');
const timeOf = (iso: string) => iso.slice(11, 23);
