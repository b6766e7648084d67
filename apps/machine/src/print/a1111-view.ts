import type { ErrorReport } from '@mgpu/core';
import { table } from './table.ts';
import { marks, paragraph } from './text.ts';

/** What became of a checkpoint on each instance, a paragraph each. */
export function loadedText(
  results: readonly {
    readonly instance: string;
    readonly checkpoint?: { readonly title: string };
    readonly error?: ErrorReport;
  }[],
): string {
  const lines = results.map(({ instance, checkpoint, error }) =>
    error
      ? paragraph(`${marks.error} ${instance}  `, error.message)
      : `${marks.ok} ${instance}  ${checkpoint?.title ?? ''}`,
  );
  const hints = new Set(results.flatMap(({ error }) => error?.hint ?? []));
  return [...lines, ...[...hints].map((hint) => paragraph('→ ', hint))].join('\n');
}

/** One line each, with who has it loaded. */
export function checkpointsText(
  checkpoints: readonly { readonly title: string; readonly loadedBy: readonly string[] }[],
): string {
  if (checkpoints.length === 0) return 'no checkpoints';
  const rows = checkpoints.map(({ title, loadedBy }) => [title, loadedBy.join(', ')]);
  return table(['checkpoint', 'loaded by'], rows);
}
