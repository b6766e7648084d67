import { type MgpuError, reportError } from '@mgpu/core';
import {
  entryOf,
  ModelStore,
  type ModelsConfig,
  type PullReport,
  type StaticModelsConfig,
  type SyncReport,
} from '@mgpu/models';
import { UsageError } from '../errors.ts';
import { ModelsProgressView } from '../print/models-progress-view.ts';
import { evictionText, modelsText, pullText, syncText, usageText, verifiedText } from '../print/models-view.ts';
import { loadSettings } from '../settings.ts';
import { type CommandContext, type ExitCode, exitCodes } from './command.ts';

export interface PullFlags {
  readonly to?: string | undefined;
  readonly type?: string | undefined;
  readonly sha256?: string | undefined;
  readonly size?: number | undefined;
  readonly force?: boolean | undefined;
}

export interface SyncFlags {
  readonly checkOnly?: boolean | undefined;
  readonly force?: boolean | undefined;
  /** Separated by commas. */
  readonly specificDirs?: string | undefined;
  readonly maxAge?: number | undefined;
  readonly provider?: 'aws' | 'google' | 'azure' | undefined;
  readonly bucket?: string | undefined;
  readonly test?: boolean | undefined;
}

export interface EvictFlags {
  /** Bytes. */
  readonly free?: number | undefined;
  /** Bytes. */
  readonly to?: number | undefined;
  readonly listed?: boolean | undefined;
  readonly dryRun?: boolean | undefined;
}

/** Everything that is there or should be. */
export async function modelsLs(context: CommandContext): Promise<ExitCode> {
  const { store } = await openModels(context);
  const models = await store.models();
  context.output.data('Models', models);
  context.output.line(modelsText(models));
  return exitCodes.done;
}

/** Brings what the list names, or what is at these addresses. */
export async function modelsPull(
  context: CommandContext,
  wanted: readonly string[],
  { to, type, sha256, size, force = false }: PullFlags,
): Promise<ExitCode> {
  const addresses = wanted.filter((each) => each.includes('://'));
  const isOfAddress = to !== undefined || type !== undefined || sha256 !== undefined || size !== undefined;
  if (addresses.length > 0 && addresses.length < wanted.length) {
    throw new UsageError({ problem: 'names on the list and addresses are not pulled by one command' });
  }
  if (isOfAddress && addresses.length !== 1) {
    throw new UsageError({ problem: '--to, --type, --sha256 and --size say something of one address' });
  }
  const { store, view } = await openModels(context);
  const options = { force, onProgress: view.show };
  const entries = addresses.map((url) => entryOf({ url, path: to, type, sha256, size }));
  const report = entries.length > 0 ? await store.pull(entries, options) : await store.pullListed(wanted, options);
  view.end();
  context.output.data('ModelsReport', { ...report, ...plainResults(report) });
  context.output.line(pullText(report));
  return codeOf(report.outcome);
}

/** Does what each start of the machine does, with other settings where the command line says so. */
export async function modelsSync(context: CommandContext, flags: SyncFlags): Promise<ExitCode> {
  const { checkOnly = false, force, specificDirs, maxAge, provider, bucket, test } = flags;
  const { store, view } = await openModels(context, (config) => ({
    ...config,
    ...(test ? { testMode: true } : {}),
    sync: {
      ...config.sync,
      ...(force ? { force } : {}),
      ...(specificDirs === undefined ? {} : { dirs: specificDirs.split(',').map((name) => name.trim()) }),
      ...(maxAge === undefined ? {} : { maxAgeDays: maxAge }),
      ...(provider === undefined ? {} : { provider }),
      ...(bucket === undefined ? {} : { container: bucket, testContainer: bucket }),
    },
  }));
  const report = await store.sync({ checkOnly, onProgress: view.show });
  view.end();
  const { error, ...about } = report.bucket;
  const plainBucket = { ...about, ...(error === undefined ? {} : { error: reportError(error) }) };
  context.output.data('ModelsSyncReport', { ...report, ...plainResults(report), bucket: plainBucket });
  context.output.line(syncText(report));
  return codeOf(report.outcome);
}

/** Reads every byte of the models. */
export async function modelsVerify(context: CommandContext, names: readonly string[]): Promise<ExitCode> {
  const { store, view } = await openModels(context);
  const results = await store.verify(names, { onFile: view.reading });
  view.end();
  context.output.data('ModelsVerified', results.map(plainResult));
  context.output.line(verifiedText(results));
  const bad = results.filter(({ status }) => status === 'damaged' || status === 'missing').length;
  if (bad === 0) return exitCodes.done;
  return bad < results.length ? exitCodes.partly : exitCodes.failed;
}

/** Removes the least recently used models. */
export async function modelsEvict(
  context: CommandContext,
  { free, to, listed = false, dryRun = false }: EvictFlags,
): Promise<ExitCode> {
  if (free === undefined && to === undefined) throw new UsageError({ problem: 'how much? give --free or --to' });
  const { store } = await openModels(context);
  const goal = {
    ...(free === undefined ? {} : { freeBytes: free }),
    ...(to === undefined ? {} : { toBytes: to }),
    listed,
  };
  const plan = dryRun ? await store.planEviction(goal) : await store.evict(goal);
  context.output.data('ModelsEviction', plan);
  context.output.line(evictionText(plan, dryRun));
  if (plan.missingBytes === 0) return exitCodes.done;
  return plan.models.length > 0 ? exitCodes.partly : exitCodes.failed;
}

/** What takes the space. */
export async function modelsDu(context: CommandContext): Promise<ExitCode> {
  const { store } = await openModels(context);
  const usage = await store.usage();
  context.output.data('ModelsUsage', usage);
  context.output.line(usageText(usage));
  return exitCodes.done;
}

async function openModels(
  { settings: options, output, interrupted }: CommandContext,
  change: (config: ModelsConfig) => ModelsConfig = (config) => config,
) {
  const { config, layout, env } = await loadSettings(options);
  const { file } = config.services['static-models'] as unknown as StaticModelsConfig;
  const store = new ModelStore({
    layout,
    config: change(config.services.models as unknown as ModelsConfig),
    env,
    staticModels: file,
    signal: interrupted,
  });
  return { store, view: new ModelsProgressView(output) };
}

function codeOf(outcome: PullReport['outcome']): ExitCode {
  if (outcome === 'failed') return exitCodes.failed;
  return outcome === 'partly failed' ? exitCodes.partly : exitCodes.done;
}

const plainResults = ({ models, aliases }: PullReport | SyncReport) => ({
  models: models.map(plainResult),
  aliases: aliases.map(plainResult),
});

/** As JSON has it: of an error, all that it says. */
const plainResult = <T extends { readonly error?: MgpuError }>({ error, ...result }: T) => ({
  ...result,
  ...(error === undefined ? {} : { error: reportError(error) }),
});
