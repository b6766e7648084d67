import {
  ControlClient,
  DaemonNotRunningError,
  DaemonRunningError,
  launchDaemon,
  type MachineStatus,
} from '@mgpu/control';
import { type MgpuError, reviveError } from '@mgpu/core';
import { BootView } from '../print/boot-view.ts';
import { statusText } from '../print/status-view.ts';
import type { Settings } from '../settings.ts';
import { type CommandContext, type ExitCode, exitCodes } from './command.ts';
import type { UpOptions } from './up.ts';

/** Starts a daemon of its own session and follows its boot to the end; a living one is asked to start what is missing. */
export async function detach(
  context: CommandContext,
  settings: Settings,
  onTerm: UpOptions['onTerm'],
): Promise<ExitCode> {
  await using client = new ControlClient({ socketPath: settings.socketPath });
  for (;;) {
    const joined = await unless(DaemonNotRunningError, () => join(context, settings, client));
    if (joined !== undefined) return joined;
    // Somebody else may launch one at the same moment: then that one is joined.
    const launched = await unless(DaemonRunningError, () => launch(context, settings, onTerm, client));
    if (launched !== undefined) return launched;
  }
}

/** What the attempt gave; undefined when it failed for that one reason. */
async function unless<T>(reason: abstract new (...args: never) => MgpuError, attempt: () => Promise<T>) {
  try {
    return await attempt();
  } catch (error) {
    if (error instanceof reason) return undefined;
    throw error;
  }
}

async function join({ output, interrupted }: CommandContext, settings: Settings, client: ControlClient) {
  const signal = interrupted;
  const { gpus } = await client.status({ signal });
  output.transient('already running; waiting until everything is started');
  await client.up({ signal });
  const status = await client.status({ signal });
  output.data('Status', status);
  output.line(`already running\n\n${statusText(status)}`);
  const { mode, count } = settings.config.machine.gpu;
  if (mode === 'mock' && (gpus[0]?.mode !== mode || (count !== 'auto' && count !== gpus.length)))
    output.notice('it runs with other GPUs than asked for; `mgpu down` first changes them');
  return isWhole(status, settings) ? exitCodes.done : exitCodes.partly;
}

/** Like a boot, it counts as done when everything critical runs. */
function isWhole({ instances }: MachineStatus, { definitions }: Settings): boolean {
  const critical = new Set(definitions.filter((each) => each.critical).map(({ kind }) => kind));
  return instances.every(({ kind, state }) => !critical.has(kind) || state === 'running' || state === 'completed');
}

async function launch(
  { output, settings: { root, config, mock }, interrupted, impatient }: CommandContext,
  { layout, env }: Settings,
  onTerm: UpOptions['onTerm'],
  client: ControlClient,
): Promise<ExitCode> {
  const options = Object.entries({ root, config, mock }).flatMap(([name, value]) =>
    value === undefined ? [] : [`--${name}`, String(value)],
  );
  const command = [process.execPath, process.argv[1] ?? '', 'up', '--on-term', onTerm, ...options] as const;
  const daemon = launchDaemon({ command, layout, env });
  interrupted.addEventListener('abort', daemon.stop, { once: true });
  impatient.addEventListener('abort', daemon.stop, { once: true });
  if (interrupted.aborted) daemon.stop();
  const view = new BootView(output);
  for await (const news of daemon.news()) {
    if (news.event === 'failed') {
      await daemon.exited;
      throw reviveError(news.error);
    }
    view.show(news);
    if (news.event === 'boot' && news.data.error === undefined) break;
  }
  const status = await client.status();
  output.data('Status', status);
  output.line(`\n${statusText(status)}`);
  return exitCodes.done;
}
