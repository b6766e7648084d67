import {
  type EvictionPlan,
  type ModelInfo,
  type ModelsUsage,
  type PullReport,
  type SyncReport,
  shortPath,
  type VerifyResult,
} from '@mgpu/models';
import { paint } from './colours.ts';
import { table } from './table.ts';
import { fileSize, marks, paragraph } from './text.ts';

const day = (ms: number | undefined) => (ms === undefined ? '' : new Date(ms).toISOString().slice(0, 10));

/** One line each; paths come last, as they may be longer than a line. */
export function modelsText(models: readonly ModelInfo[]): string {
  if (models.length === 0) return 'there are no models, and no list names any';
  const rows = models.map((model) => [
    markOf(model),
    model.state === 'missing' ? '' : fileSize(model.bytes).padStart(9),
    day(model.usedMs),
    [model.state === 'present' ? '' : model.state, ownership(model)].filter(Boolean).join(', '),
    shortPath(model.path),
  ]);
  return table(['', '     size', 'used', '', 'model'], rows);
}

const markOf = ({ state }: ModelInfo) =>
  state === 'missing' || state === 'broken link' ? marks.error : state === 'part' ? marks.running : marks.ok;

function ownership({ state, source, isListed, keptBecause, isIndexed }: ModelInfo): string {
  if (state !== 'present') return isIndexed ? '' : 'not indexed';
  if (source === undefined) return 'own';
  return isListed ? 'listed' : keptBecause === undefined ? 'cached' : 'kept';
}

/** What became of each model that was not there already, those that failed with the reason. */
export function pullText({ models, aliases, warnings, summary }: PullReport): string {
  const planned = models.filter(({ status }) => status === 'planned');
  const rows = planned.map(({ path, bytes }) => [
    marks.running,
    bytes === undefined ? '' : fileSize(bytes).padStart(9),
    shortPath(path),
  ]);
  return [
    ...warnings.map((each) => paragraph(`${marks.warning} `, each)),
    ...(rows.length > 0 ? [table(['', '     size', 'would pull'], rows)] : []),
    ...[...models, ...aliases].flatMap(reasonsOf),
    summary,
  ].join('\n');
}

/** As `pullText`, and what was done about the bucket. */
export function syncText(report: SyncReport): string {
  const { label, skipped, error } = report.bucket;
  const bucket = error
    ? reasonsOf({ path: label ?? 'the bucket', error })
    : [paint.dim(skipped === undefined ? `bucket ${label}` : `bucket ${label ?? ''}: ${skipped}`.replace(' :', ':'))];
  const evicted = report.evicted.map((path) => `${paint.red('-')} ${shortPath(path)} ${paint.dim('evicted')}`);
  return [pullText(report), ...evicted, ...bucket].join('\n');
}

/** What a look at every byte gave; those that are whole are counted. */
export function verifiedText(results: readonly VerifyResult[]): string {
  const count = (wanted: VerifyResult['status']) => results.filter(({ status }) => status === wanted).length;
  const parts = [
    [count('whole'), 'whole'],
    [count('damaged'), 'damaged'],
    [count('missing'), 'missing'],
    [count('unknown'), 'of which nobody has said what they should be'],
  ] as const;
  const told = parts.filter(([number]) => number > 0).map(([number, word]) => `${number} ${word}`);
  const missing = results.filter(({ status }) => status === 'missing');
  return [
    ...results.flatMap(reasonsOf),
    ...missing.map(({ path }) => `${marks.error} ${shortPath(path)}: it is missing`),
    `${results.length} ${results.length === 1 ? 'model' : 'models'}: ${told.join(', ') || 'nothing to read'}`,
  ].join('\n');
}

/** What went, or would. */
export function evictionText({ models, bytes, missingBytes }: EvictionPlan, isDryRun: boolean): string {
  const rows = models.map((model) => [
    paint.red('-'),
    fileSize(model.bytes).padStart(9),
    day(model.usedMs),
    shortPath(model.path),
  ]);
  return [
    ...(rows.length > 0 ? [table(['', '     size', 'used', isDryRun ? 'would go' : 'gone'], rows)] : []),
    `${fileSize(bytes)} ${isDryRun ? 'would be freed' : 'freed'}`,
    ...(missingBytes > 0
      ? [
          paragraph(
            `${marks.warning} `,
            `${fileSize(missingBytes)} less than wanted: everything else is kept; \`mgpu models ls\` says what is own, listed or kept`,
          ),
        ]
      : []),
  ].join('\n');
}

/** Space by folder, what is left of the disk, and what is used least. */
export function usageText({ folders, files, bytes, disk, leastUsed }: ModelsUsage): string {
  const rows = folders.map(({ folder, files: number, bytes: size, partBytes }) => [
    fileSize(size).padStart(9),
    String(number).padStart(5),
    partBytes > 0 ? `+ ${fileSize(partBytes)} on its way` : '',
    shortPath(folder),
  ]);
  const least = leastUsed.map((model) => [fileSize(model.bytes).padStart(9), day(model.usedMs), shortPath(model.path)]);
  return [
    ...(rows.length > 0 ? [table(['     size', 'files', '', 'folder'], rows)] : []),
    `${fileSize(bytes)} in ${files} ${files === 1 ? 'file' : 'files'}; ${fileSize(disk.freeBytes)} of ${fileSize(disk.bytes)} are free`,
    ...(least.length > 0 ? ['', table(['     size', 'used', 'least used'], least)] : []),
  ].join('\n');
}

function reasonsOf({ path, error }: { path: string; error?: { message: string; hint: string | undefined } }): string[] {
  if (error === undefined) return [];
  return [
    paragraph(`${marks.error} `, `${shortPath(path)}: ${error.message.replace(`${path} `, 'it ')}`),
    ...(error.hint ? [paragraph(`  ${paint.dim('→')} `, error.hint)] : []),
  ];
}
