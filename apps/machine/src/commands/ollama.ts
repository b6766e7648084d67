import { lockPulls, modelsDirOf, OllamaClient, type OllamaConfig } from '@mgpu/ollama';
import { table } from '../print/table.ts';
import { fileSize } from '../print/text.ts';
import { type RunningEngine, runningEngines } from '../running-engines.ts';
import { loadSettings } from '../settings.ts';
import { type CommandContext, type ExitCode, exitCodes } from './command.ts';

/** The models on this machine's disk. */
export async function ollamaLs(context: CommandContext): Promise<ExitCode> {
  const { output, interrupted: signal } = context;
  await using client = await firstServer(context);
  const models = await client.list({ signal });
  output.data('Models', models);
  const rows = models.map(({ name, size, modified_at }) => [
    name,
    fileSize(size),
    modified_at.slice(0, 16).replace('T', ' '),
  ]);
  output.line(rows.length === 0 ? 'no models' : () => table(['model', 'size', 'changed'], rows));
  return exitCodes.done;
}

/** The models in memory, of every server. */
export async function ollamaPs(context: CommandContext): Promise<ExitCode> {
  const { output, interrupted: signal } = context;
  const found = await Promise.all(
    (await serversOf(context)).map(async ({ id, url }) => {
      await using client = new OllamaClient(url);
      return (await client.ps({ signal })).map((model) => ({ instance: id, ...model }));
    }),
  );
  const running = found.flat();
  output.data('RunningModels', running);
  const rows = running.map(({ instance, name, size, size_vram, expires_at }) => {
    const share = size === 0 ? 0 : Math.round((100 * size_vram) / size);
    return [instance, name, fileSize(size), `${share} %`, expires_at.slice(0, 16).replace('T', ' ')];
  });
  output.line(
    rows.length === 0 ? 'no model is in memory' : () => table(['instance', 'model', 'size', 'on GPU', 'until'], rows),
  );
  return exitCodes.done;
}

/**
 * Brings a model from the registry, or its newest state; an interrupted pull is gone on with by the next one. Takes its turn with
 * the servers' own pulls.
 */
export async function ollamaPull(context: CommandContext, model: string): Promise<ExitCode> {
  const { output, interrupted: signal } = context;
  await using client = await firstServer(context);
  const { config, layout } = await loadSettings(context.settings);
  const modelsDir = modelsDirOf(config.services.ollama as unknown as OllamaConfig, { layout });
  const onWait = () => {
    const text = `another pull into ${modelsDir} is under way: waiting for its end`;
    output.progress({ text });
    output.line(text);
  };
  using _ = await lockPulls(modelsDir, { signal, onWait });
  for await (const { status, total, completed } of client.pull(model, { signal })) {
    const percent = total && completed !== undefined ? (completed / total) * 100 : undefined;
    output.progress({ text: status, percent });
  }
  output.data('Pulled', { model });
  output.line(`${model} is there`);
  return exitCodes.done;
}

/** Removes models from the disk. */
export async function ollamaRm(context: CommandContext, models: readonly string[]): Promise<ExitCode> {
  const { output, interrupted: signal } = context;
  await using client = await firstServer(context);
  for (const model of models) {
    await client.delete(model, { signal });
    output.line(`${model} is removed`);
  }
  output.data('Removed', { models });
  return exitCodes.done;
}

/** Servers of one machine share their models. */
async function firstServer(context: CommandContext): Promise<OllamaClient> {
  const [{ url }] = await serversOf(context);
  return new OllamaClient(url);
}

/** Throws `MACHINE_NO_ENGINE`. */
const serversOf = (context: CommandContext): Promise<[RunningEngine, ...RunningEngine[]]> =>
  runningEngines(context, { kind: 'ollama', name: 'Ollama' });
