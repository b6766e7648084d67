import {
  ControlClient,
  DaemonNotRunningError,
  DaemonRunningError,
  launchDaemon,
  type MachineStatus,
} from '@mgpu/control';
import { type Layout, type MgpuError, reviveError } from '@mgpu/core';
import { daemonFlags } from '../daemon-flags.ts';
import { BootView } from '../print/boot-view.ts';
import { locateMachine } from '../settings.ts';
import { type CommandContext, type ExitCode, exitCodes, type OnTerm } from './command.ts';

/**
 * Starts a daemon of its own session and follows its boot to the end; a living one is asked to start what is missing. The
 * daemon alone reads the configuration.
 */
export async function detach(context: CommandContext, onTerm: OnTerm): Promise<ExitCode> {
  const { layout, socketPath } = await locateMachine(context.settings);
  await using client = new ControlClient({ socketPath });
  for (;;) {
    const joined = await unless(DaemonNotRunningError, () => join(context, client));
    if (joined !== undefined) return joined;
    // Somebody else may launch one at the same moment: then that one is joined.
    const launched = await unless(DaemonRunningError, () => launch(context, layout, onTerm, client));
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

async function join({ output, interrupted, settings: { mock } }: CommandContext, client: ControlClient) {
  const signal = interrupted;
  const { gpus } = await client.status({ signal });
  output.transient('already running; waiting until everything is started');
  await client.up({ signal });
  const status = await client.status({ signal });
  await show(output, status, 'already running\n');
  if (mock !== undefined && (gpus[0]?.mode !== 'mock' || gpus.length !== mock))
    output.notice('it runs with other GPUs than asked for; `mgpu down` first changes them');
  return isWhole(status) ? exitCodes.done : exitCodes.partly;
}

/** Like a boot, it counts as done when everything critical runs. */
const isWhole = ({ instances }: MachineStatus) =>
  instances.every(({ critical, state }) => !critical || state === 'running' || state === 'completed');

async function launch(
  { output, settings: { root, config, mock, env }, interrupted, impatient }: CommandContext,
  layout: Layout,
  onTerm: OnTerm,
  client: ControlClient,
): Promise<ExitCode> {
  const options = Object.entries({ root, config, mock }).flatMap(([name, value]) =>
    value === undefined ? [] : [`--${name}`, String(value)],
  );
  const command = [
    process.execPath,
    ...daemonFlags,
    process.argv[1] ?? '',
    'up',
    '--on-term',
    onTerm,
    ...options,
  ] as const;
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
    if (news.event === 'notice') output.notice(news.text);
    else view.show(news);
    if (news.event === 'boot' && news.data.error === undefined) break;
  }
  await show(output, await client.status());
  return exitCodes.done;
}

async function show(output: CommandContext['output'], status: MachineStatus, head = ''): Promise<void> {
  // Loaded here: no launch waits for the look of its end.
  const { statusText } = await import('../print/status-view.ts');
  output.data('Status', status);
  output.line(() => `${head}\n${statusText(status, { width: output.width, now: Date.now() })}`);
}
