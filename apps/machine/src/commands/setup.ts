import { knownMachine } from '../known-machine.ts';
import { ofService } from '../selectors.ts';
import { type CommandContext, type ExitCode, exitCodes } from './command.ts';

/** For services that bring what they need when they start: says so. Throws what the selection throws. */
export async function setup(context: CommandContext, kind: string, gpus: readonly string[]): Promise<ExitCode> {
  const instances = ofService(kind, gpus)(await knownMachine(context)).map(({ id }) => id);
  context.output.line(`nothing to set up: ${kind} brings what it needs when it starts (${instances.join(', ')})`);
  context.output.data('Setup', { instances });
  return exitCodes.done;
}

/** For engines whose installation is one for the machine: a GPU may be named out of habit, if it is there. */
export async function expectGpus(context: CommandContext, kind: string, gpus: readonly string[]): Promise<void> {
  if (gpus.length === 0) return;
  const { gpus: present } = await knownMachine(context);
  const asIfEverywhere = present.map(({ index }) => ({ id: `${kind}_gpu${index}`, kind, gpu: index }));
  ofService(kind, gpus)({ gpus: present, instances: asIfEverywhere });
  if (!gpus.includes('all')) context.output.notice(`one installation of ${kind} serves all GPUs`);
}
