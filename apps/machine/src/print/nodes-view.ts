import type { InstalledNode, NodePlan, NodeResult, NodesPlan, NodesReport } from '@mgpu/custom-nodes';
import { paint } from './colours.ts';
import { changeLine } from './generations-view.ts';
import { table } from './table.ts';
import { marks, paragraph } from './text.ts';

const short = (commit: string | undefined) => commit?.slice(0, 7) ?? '';
const way = (from: string | undefined, to: string | undefined) =>
  from === undefined || to === undefined || from === to ? short(to ?? from) : `${short(from)} → ${short(to)}`;

/** What would be done, node by node, with the reason where nothing can be. */
export function planText({ nodes, packages, warnings, isSettled }: NodesPlan): string {
  if (isSettled && nodes.every(({ blocked }) => !blocked))
    return [...warningLines(warnings), 'nothing to do'].join('\n');
  const rows = nodes.map(({ name, action, from, to, blocked }) => [
    blocked ? marks.error : action === 'none' ? paint.dim('·') : marks.running,
    name,
    blocked ? 'blocked' : action === 'none' ? '' : action,
    way(from, to),
  ]);
  return [
    ...warningLines(warnings),
    table(['', 'node', 'would', 'commit'], rows),
    ...nodes.flatMap(reasonsOf),
    ...(packages === undefined
      ? ['which packages change is known when the new commits are there']
      : packages.map((each) => changeLine(each.name, each))),
  ].join('\n');
}

/** What became of each node, those that failed with the reason, and the packages that changed. */
export function reportText({ nodes, packages, warnings, summary }: NodesReport): string {
  const rows = nodes
    .filter(({ status, notes }) => status !== 'skipped' || notes.length > 0)
    .map(({ name, status, action, from, commit }) => [
      status === 'failed' ? marks.error : marks.ok,
      name,
      status === 'failed' ? 'failed' : action === 'none' ? '' : past[action],
      way(from, commit),
    ]);
  return [
    ...warningLines(warnings),
    ...(rows.length > 0 ? [table(['', 'node', '', 'commit'], rows)] : []),
    ...nodes.flatMap(reasonsOf),
    ...packages.map((each) => changeLine(each.name, each)),
    ...(summary === '' ? [] : [summary]),
  ].join('\n');
}

const past = {
  clone: 'added',
  update: 'updated',
  switch: 'switched',
  enable: 'enabled',
  disable: 'disabled',
  remove: 'removed',
};

function reasonsOf(node: NodePlan | NodeResult): string[] {
  const error = 'blocked' in node ? node.blocked : 'error' in node ? node.error : undefined;
  const told = node.isRemembered ? ' (as before; --retry tries again)' : '';
  return [
    ...(error
      ? [paragraph(`${marks.error} `, `${node.name}: ${error.message.replace(`${node.name}: `, '')}${told}`)]
      : []),
    ...(error?.hint ? [paragraph(`  ${paint.dim('→')} `, error.hint)] : []),
    ...node.notes.map((note) => paragraph(`${marks.warning} `, `${node.name}: ${note}`)),
  ];
}

const warningLines = (warnings: readonly string[]) => warnings.map((each) => paragraph(`${marks.warning} `, each));

export function nodesListText(nodes: readonly InstalledNode[]): string {
  if (nodes.length === 0) return 'there are no custom nodes';
  const rows = nodes.map(({ name, isEnabled, kind, commit, edits = [], isLocked, url }) => [
    name,
    short(commit),
    [isEnabled ? '' : 'disabled', edits.length > 0 ? 'edited' : '', isLocked ? '' : `own ${kind}`]
      .filter(Boolean)
      .join(', '),
    url ?? '',
  ]);
  return table(['node', 'commit', '', 'from'], rows);
}
