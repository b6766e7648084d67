import type { BootNode, BootPhase, BootReport } from '@mgpu/core';
import { paint } from './colours.ts';
import { clip, duration, lineWidth, marks, paragraph } from './text.ts';

const nameWidth = 26;

/** A boot as a tree: phases as they began, their steps below them where there are several, each with its time. */
export function phasesText(
  { startedAt, totalMs, outcome, phases }: BootReport,
  { isUnderWay }: { isUnderWay: boolean },
): string {
  const isCutOff = outcome === 'running' && !isUnderWay;
  const word = isCutOff ? 'cut off: its daemon ended meanwhile' : outcome;
  const how = outcome === 'degraded' || isCutOff ? paint.yellow(word) : `${marks[outcome]} ${word}`;
  const when = startedAt.slice(0, 19).replace('T', ' ');
  const told = new Set<string>();
  const problem = ({ error }: BootNode): string[] => {
    // What one failed with keeps others from starting, too.
    if (!error || told.has(error.message)) return [];
    told.add(error.message);
    const said = paragraph('      ', error.message);
    return error.hint ? [said, paragraph(`      ${paint.dim('→')} `, error.hint)] : [said];
  };
  const head = `${''.padEnd(nameWidth + 4)} ${paint.dim('began at'.padStart(9))}  ${paint.dim('took'.padStart(9))}`;
  const lines = phases.flatMap((phase) => phaseLines(phase, problem));
  return [`boot of ${when} UTC · ${duration(totalMs)} · ${how}`, head, ...lines].join('\n');
}

function phaseLines(phase: BootPhase, problem: (node: BootNode) => string[]): string[] {
  const { name, nodes } = phase;
  const [only] = nodes;
  if (nodes.length === 1 && only) return [line(0, name, phase, only.waitedFor), ...problem(only)];
  const inOrder = nodes.toSorted((one, other) => one.id.localeCompare(other.id, 'en', { numeric: true }));
  const steps = inOrder.flatMap((node) => [
    line(1, node.id.replace(/:.*/, ''), node, node.waitedFor),
    ...problem(node),
  ]);
  return [line(0, name, phase), ...steps];
}

function line(
  depth: number,
  name: string,
  { outcome, startedMs, ms }: Pick<BootNode, 'outcome' | 'startedMs' | 'ms'>,
  waitedFor?: string,
): string {
  const width = nameWidth - 2 * depth;
  const head = `${'  '.repeat(depth + 1)}${marks[outcome]} ${clip(name, width).padEnd(width)}`;
  const took = outcome === 'running' ? '' : duration(ms);
  const after = waitedFor ? paint.dim(clip(`after ${waitedFor}`, lineWidth - nameWidth - 28)) : '';
  return `${head} ${duration(startedMs).padStart(9)}  ${took.padStart(9)}  ${after}`.trimEnd();
}
