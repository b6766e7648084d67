import { A1111Client, type A1111Config, loadModel } from '@mgpu/a1111';
import { install } from '@mgpu/a1111/setup';
import { DaemonNotRunningError } from '@mgpu/control';
import { loggerTo, reportError } from '@mgpu/core';
import { NoEngineError, OwnCheckoutError } from '../errors.ts';
import { installerEnvironment } from '../installation.ts';
import { checkpointsText, loadedText } from '../print/a1111-view.ts';
import { SetupView } from '../print/setup-view.ts';
import { type RunningEngine, runningEngines } from '../running-engines.ts';
import { loadSettings } from '../settings.ts';
import { type CommandContext, type ExitCode, exitCodes } from './command.ts';

/** Installs Automatic1111, or brings it to what the configuration asks for; what runs takes it at its next start. */
export async function a1111Setup(
  context: CommandContext,
  { update }: { readonly update?: boolean | undefined },
): Promise<ExitCode> {
  const { output, interrupted: signal } = context;
  const settings = await loadSettings(context.settings);
  const config = settings.config.services.a1111 as unknown as A1111Config;
  if (config.dir !== undefined) throw new OwnCheckoutError({ kind: 'a1111', dir: config.dir });
  if (config.command)
    output.notice(`Automatic1111 is stood in for by ${config.command.join(' ')}: what is installed is not run`);
  const onProblem = (message: string) => output.notice(message);
  const log = loggerTo((level, message) => {
    if (level === 'error' || level === 'warn') output.notice(message);
  });
  const env = await installerEnvironment(settings, { signal, onProblem });
  const view = new SetupView(output);
  const { installation, changed, removed } = await install({ layout: settings.layout, log, env, signal }, config, {
    update,
    onProgress: (progress) => view.step(progress),
  });
  view.end();
  const { id, commit, packages } = installation;
  const name = `Automatic1111 ${commit.slice(0, 7)}`;
  output.line(changed ? `${name} is in force (${id})` : `${name} is there already (${id})`);
  if (removed.length > 0) output.line(`removed the former ${removed.join(', ')}`);
  const running = changed && !config.command ? await runningNow(context) : [];
  if (running.length > 0)
    output.line(`running instances keep theirs until they are restarted: ${running.map((each) => each.id).join(', ')}`);
  output.data('A1111Setup', {
    changed,
    installation: { id, commit, packages },
    removed,
    running: running.map((each) => each.id),
  });
  return exitCodes.done;
}

/** Loads a checkpoint on one GPU's instance or on all that run; one that fails keeps no other from it. */
export async function a1111Load(
  context: CommandContext,
  model: string,
  { gpu }: { readonly gpu?: number | undefined },
): Promise<ExitCode> {
  const { output, interrupted: signal } = context;
  const engines = await enginesOf(context, gpu);
  output.progress({ text: `loading ${model} on ${engines.map(({ id }) => id).join(', ')}` });
  const loaded = await loadModel(engines, model, { signal });
  const results = loaded.map(({ checkpoint, error }, index) => {
    const instance = engines[index]?.id ?? '';
    return { instance, ...(checkpoint ? { checkpoint } : {}), ...(error ? { error } : {}) };
  });
  output.data('LoadedCheckpoints', results);
  output.line(loadedText(results));
  const failed = results.filter(({ error }) => error !== undefined).length;
  if (failed === 0) return exitCodes.done;
  return failed < results.length ? exitCodes.partly : exitCodes.failed;
}

/** The checkpoints that the instances know, and which of them has which one loaded. */
export async function a1111Models(context: CommandContext): Promise<ExitCode> {
  const { output, interrupted: signal } = context;
  const engines = await enginesOf(context);
  const answers = await Promise.allSettled(
    engines.map(async ({ id, url }) => {
      await using client = new A1111Client(url);
      const [models, options] = await Promise.all([client.models({ signal }), client.options({ signal })]);
      return { instance: id, models, loaded: String(options.sd_model_checkpoint ?? '') };
    }),
  );
  signal.throwIfAborted();
  const known = answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : []));
  const failures = answers.flatMap((answer) => (answer.status === 'rejected' ? [answer.reason as unknown] : []));
  if (known.length === 0) throw failures[0];
  for (const failure of failures) output.notice(reportError(failure).message);
  const titles = [...new Set(known.flatMap(({ models }) => models.map(({ title }) => title)))].toSorted();
  const checkpoints = titles.map((title) => ({
    title,
    knownBy: known.filter(({ models }) => models.some((each) => each.title === title)).map(({ instance }) => instance),
    loadedBy: known.filter(({ loaded }) => loaded === title).map(({ instance }) => instance),
  }));
  output.data('Checkpoints', checkpoints);
  output.line(checkpointsText(checkpoints));
  return failures.length === 0 ? exitCodes.done : exitCodes.partly;
}

/** Throws `MACHINE_NO_ENGINE`. */
const enginesOf = (context: CommandContext, gpu?: number): Promise<[RunningEngine, ...RunningEngine[]]> =>
  runningEngines(context, { kind: 'a1111', name: 'Automatic1111', gpu });

async function runningNow(context: CommandContext): Promise<readonly RunningEngine[]> {
  try {
    return await enginesOf(context);
  } catch (error) {
    if (error instanceof DaemonNotRunningError || error instanceof NoEngineError) return [];
    throw error;
  }
}
