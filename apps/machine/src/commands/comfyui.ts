import { comfyuiSchema } from '@mgpu/comfyui';
import { diffGenerations, type Generation, rollBack, setUp, switchTo } from '@mgpu/comfyui/setup';
import { redact } from '@mgpu/core';
import { diffText, generationsText } from '../print/generations-view.ts';
import { SetupView } from '../print/setup-view.ts';
import { type CommandContext, type ExitCode, exitCodes } from './command.ts';
import { openComfyUI } from './open-comfyui.ts';

export interface SetupFlags {
  /** Instead of the configured one. */
  readonly ref?: string | undefined;
  readonly repository?: string | undefined;
  readonly extra?: readonly string[] | undefined;
  readonly update?: boolean | undefined;
}

/** Installs ComfyUI, or brings it to what the configuration asks for, instance by instance. */
export async function comfyuiSetup(context: CommandContext, flags: SetupFlags): Promise<ExitCode> {
  const { output, interrupted } = context;
  await using machine = await openComfyUI(context);
  const { extra, repository, ref, update } = flags;
  const { setup } = comfyuiSchema.parse({
    setup: {
      ...machine.config.setup,
      ...(repository === undefined ? {} : { repository }),
      ...(ref === undefined ? {} : { ref }),
      ...(extra === undefined ? {} : { extras: extra }),
    },
  });
  const view = new SetupView(output);
  const { generation, changed } = await setUp({
    ...machine.common,
    setup,
    update,
    signal: interrupted,
    onProgress: (progress) => view.step(progress),
    onInstance: (progress) => view.instance(progress),
  });
  view.end();
  output.line(changed ? `ComfyUI ${generation.version} is in force (${generation.id})` : upToDate(generation));
  output.data('ComfyUISetup', { changed, generation: shown(generation) });
  return exitCodes.done;
}

/** Without the passwords that its URLs may have. */
const shown = ({ recipe, ...rest }: Generation) => ({ ...rest, recipe: redact(recipe) });

const upToDate = ({ version, id }: Generation) => `ComfyUI ${version} is there already (${id})`;

/** The generations there are, the one in force marked. */
export async function generationsLs(context: CommandContext): Promise<ExitCode> {
  await using machine = await openComfyUI(context);
  const { store } = machine;
  const [generations, current, previous, tried] = [
    await store.list(),
    await store.current(),
    await store.previous(),
    await store.tried(),
  ];
  const roles = { current: current?.id, previous: previous?.id, tried: Object.fromEntries(tried) };
  context.output.data('Generations', { ...roles, generations: generations.map(shown) });
  context.output.line(generationsText(generations, roles));
  return exitCodes.done;
}

/** What changes between two; without the second, from the first to the one in force. */
export async function generationsDiff(context: CommandContext, from: string, to?: string): Promise<ExitCode> {
  await using machine = await openComfyUI(context);
  const { store } = machine;
  const a = await store.find(from);
  const b = to === undefined ? ((await store.current()) ?? a) : await store.find(to);
  const diff = diffGenerations(a, b);
  context.output.data('GenerationDiff', { from: a.id, to: b.id, ...diff });
  context.output.line(diffText(diff));
  return exitCodes.done;
}

/** Brings one that is there to all instances, one after the other. */
export async function generationsSwitch(context: CommandContext, id: string): Promise<ExitCode> {
  await using machine = await openComfyUI(context);
  const view = new SetupView(context.output);
  const onInstance = view.instance.bind(view);
  const generation = await switchTo(machine.store, id, machine.fleet, { signal: context.interrupted, onInstance });
  view.end();
  return inForce(context, generation);
}

/** Brings the one that was in force before to all instances at once. */
export async function generationsRollback(context: CommandContext): Promise<ExitCode> {
  await using machine = await openComfyUI(context);
  const view = new SetupView(context.output);
  const onInstance = view.instance.bind(view);
  const generation = await rollBack(machine.store, machine.fleet, { signal: context.interrupted, onInstance });
  view.end();
  return inForce(context, generation);
}

function inForce({ output }: CommandContext, generation: Generation): ExitCode {
  output.line(`ComfyUI ${generation.version} is in force (${generation.id})`);
  output.data('Generation', shown(generation));
  return exitCodes.done;
}

/** Removes all but the newest ones, and never one in use; drafts that nobody goes on with, too. */
export async function generationsPrune(context: CommandContext, keep: number): Promise<ExitCode> {
  await using machine = await openComfyUI(context);
  const removed = await machine.store.prune(keep);
  context.output.data('Pruned', { removed });
  context.output.line(removed.length === 0 ? 'nothing to remove' : `removed ${removed.join(', ')}`);
  return exitCodes.done;
}
