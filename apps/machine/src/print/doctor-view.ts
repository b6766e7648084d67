import type { NamedFinding } from '../commands/doctor.ts';
import { paint } from './colours.ts';
import { marks, paragraph } from './text.ts';

/** What was found, group by group, and at the end what it comes to. */
export function doctorText(findings: readonly NamedFinding[], width: number): string {
  const subjectWidth = Math.max(...findings.map(({ subject }) => subject.length));
  const groups = [...Map.groupBy(findings, ({ group }) => group)].map(([group, ofGroup]) => {
    const lines = ofGroup.flatMap(({ level, subject, message, hint }) => [
      paragraph(`${marks[level]} ${subject.padEnd(subjectWidth)}  `, message, width),
      ...(hint && level !== 'ok' ? [paragraph(`${' '.repeat(subjectWidth + 4)}${paint.dim('→')} `, hint, width)] : []),
    ]);
    return [paint.bold(group), ...lines].join('\n');
  });
  return [...groups, verdict(findings)].join('\n\n');
}

function verdict(findings: readonly NamedFinding[]): string {
  const count = (wanted: NamedFinding['level']) => findings.filter(({ level }) => level === wanted).length;
  const named = (number: number, what: string) => `${number} ${what}${number === 1 ? '' : 's'}`;
  const [errors, warnings] = [count('error'), count('warning')];
  if (errors > 0) return paint.red(`${named(errors, 'error')}, ${named(warnings, 'warning')}`);
  return warnings > 0 ? paint.yellow(`healthy, ${named(warnings, 'warning')}`) : paint.green('healthy');
}
