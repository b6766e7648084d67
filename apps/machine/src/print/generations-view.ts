import type { Change, Generation, GenerationDiff } from '@mgpu/comfyui/setup';
import { paint } from './colours.ts';
import { table } from './table.ts';
import { marks } from './text.ts';

export interface GenerationRoles {
  readonly current: string | undefined;
  readonly previous: string | undefined;
  /** Generation by instance. */
  readonly tried: Readonly<Record<string, string>>;
}

/** One line each, the newest last. */
export function generationsText(generations: readonly Generation[], roles: GenerationRoles): string {
  if (generations.length === 0) return 'no ComfyUI is installed; `mgpu comfyui setup` installs one';
  const rows = generations.map((each) => [
    each.id,
    each.version,
    each.packages.torch ?? '',
    String(Object.keys(each.nodeClasses).length),
    each.createdAt.replace('T', ' ').slice(0, 16),
    roleOf(each.id, roles),
  ]);
  return table(['generation', 'ComfyUI', 'torch', 'nodes', 'made', ''], rows);
}

function roleOf(id: string, { current, previous, tried }: GenerationRoles): string {
  const instances = Object.entries(tried).flatMap(([instance, own]) => (own === id ? [instance] : []));
  const words = [
    id === current && paint.green('in force'),
    id === previous && 'before',
    instances.length > 0 && `tried on ${instances.join(', ')}`,
  ];
  return words.filter(Boolean).join(', ');
}

const shownClasses = 20;

export function diffText({ commit, version, packages, nodeClasses }: GenerationDiff): string {
  const classes = Object.entries(nodeClasses);
  const left = classes.length - shownClasses;
  const parts = [
    version && changeLine('ComfyUI', version),
    commit && changeLine('commit', { from: commit.from?.slice(0, 12) ?? '', to: commit.to?.slice(0, 12) ?? '' }),
    ...Object.entries(packages).map(([name, change]) => changeLine(name, change)),
    ...classes.slice(0, shownClasses).map(([name, change]) => classLine(name, change)),
    left > 0 && paint.dim(`and ${left} more node classes; --json has them all`),
  ];
  return parts.filter(Boolean).join('\n') || 'no difference';
}

/** A package that came, went or changed. */
export function changeLine(name: string, { from, to }: Change): string {
  if (from === undefined) return `${paint.green('+')} ${name} ${to}`;
  return to === undefined ? `${paint.red('-')} ${name} ${from}` : `${paint.yellow('~')} ${name} ${from} → ${to}`;
}

function classLine(name: string, { from, to }: Change): string {
  if (from === undefined) return `${paint.green('+')} node ${name} ${paint.dim(`(${to})`)}`;
  return to === undefined
    ? `${paint.red('-')} node ${name} ${paint.dim(`(${from})`)}`
    : `${marks.warning} node ${name} ${from} → ${to}`;
}
