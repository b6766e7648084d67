import type { InstanceOutcome, InstanceStatus, InstanceVerb } from '@mgpu/core';
import { paint } from './colours.ts';
import { marks, paragraph } from './text.ts';

const done = { start: 'started', stop: 'stopped', restart: 'restarted' } as const;

/** What came of each instance, a line each; `before` is how they were. */
export function outcomesText(
  verb: InstanceVerb,
  before: readonly InstanceStatus[],
  outcomes: readonly InstanceOutcome[],
): string {
  if (outcomes.length === 0) return 'nothing to do';
  const width = Math.max(...outcomes.map(({ instance }) => instance.id.length));
  return outcomes
    .flatMap(({ instance, error }) => {
      const head = (mark: string) => `${mark} ${instance.id.padEnd(width)}  `;
      if (!error) return [`${head(marks.ok)}${whatHappened(verb, before, instance)}`];
      const told = paragraph(head(marks.error), `not ${done[verb]}: ${error.message} (${error.code})`);
      return error.hint ? [told, paragraph(`${' '.repeat(width + 4)}${paint.dim('→')} `, error.hint)] : [told];
    })
    .join('\n');
}

function whatHappened(verb: InstanceVerb, before: readonly InstanceStatus[], instance: InstanceStatus): string {
  const { id, state, run, port, pid } = instance;
  const former = before.find((each) => each.id === id);
  const isOld = verb === 'stop' ? former?.state === 'stopped' : former?.state === state && former.run === run;
  const place = pid === undefined ? [] : [...(port === undefined ? [] : [`port ${port}`]), `pid ${pid}`];
  return [`${isOld ? 'already ' : ''}${done[verb]}`, ...place].join(', ');
}
