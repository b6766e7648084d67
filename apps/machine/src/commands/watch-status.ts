import { type ControlClient, DaemonNotRunningError, envelope, type MachineStatus } from '@mgpu/control';
import { reportError, systemClock } from '@mgpu/core';
import { paint } from '../print/colours.ts';
import { takeKeys } from '../print/keys.ts';
import { LiveScreen } from '../print/live-screen.ts';
import type { Output } from '../print/output.ts';
import { instancesText, statusText, type ViewOptions } from '../print/status-view.ts';
import { paragraph } from '../print/text.ts';
import type { Selection } from '../selectors.ts';
import { type ExitCode, exitCodes } from './exit-codes.ts';
import type { OfflineMachine } from './status-without-daemon.ts';

/** Milliseconds between two looks, and those after an event before one: what happens at once is seen at once. */
const lookMs = 2_000;
const settleMs = 100;

interface Look {
  /** For programs: the same whenever nothing has changed. */
  readonly answer: { readonly kind: string; readonly data: unknown };
  readonly text: (options: ViewOptions) => string;
}

export interface WatchOptions {
  readonly client: ControlClient;
  readonly output: Output;
  /** The instances that are to be shown; default: the whole machine. */
  readonly select: Selection | undefined;
  readonly offline: () => Promise<OfflineMachine>;
  readonly interrupted: AbortSignal;
}

/**
 * Shows how the machine is until Ctrl-C, also while it has no daemon: on a terminal in place, elsewhere a block for each
 * change, with `--json` a line for each.
 */
export async function watchStatus(options: WatchOptions): Promise<ExitCode> {
  const { client, output, interrupted } = options;
  using screen = output.live ? new LiveScreen(process.stdout) : undefined;
  using _ = screen && takeKeys(process.stdin);
  const events = new Events(client, interrupted);
  let told = '';
  while (!interrupted.aborted) {
    const { answer, text } = await look(options);
    if (interrupted.aborted) break;
    const said = JSON.stringify(envelope(answer.kind, answer.data));
    if (screen) screen.show(`${text({ width: output.width, now: Date.now() })}\n\n${paint.dim('q or Ctrl-C ends')}`);
    else if (said !== told)
      output.change(answer.kind, answer.data, () => `${text({ width: output.width, now: Date.now() })}\n`);
    told = said;
    await events.next(lookMs);
  }
  return exitCodes.done;
}

async function look({ client, select, offline, interrupted: signal }: WatchOptions): Promise<Look> {
  let status: MachineStatus;
  try {
    status = await client.status({ signal });
  } catch (error) {
    const known = reportError(error);
    const problem = ({ width }: ViewOptions) => paragraph(`${paint.red('error')} `, known.message, width);
    if (!(error instanceof DaemonNotRunningError)) return { answer: { kind: 'Error', data: known }, text: problem };
    const { report, text } = await offline();
    const data = { ...known, offline: report };
    return { answer: { kind: 'Error', data }, text: (options) => `${problem(options)}\n${text(options)}` };
  }
  if (!select) return { answer: { kind: 'Status', data: status }, text: (options) => statusText(status, options) };
  const instances = select(status);
  const data = { ...status, instances };
  return { answer: { kind: 'Status', data }, text: (options) => instancesText(instances, options) };
}

/** Knows when something happens on the machine, as long as there is a daemon to tell. */
class Events {
  readonly #client: ControlClient;
  readonly #signal: AbortSignal;
  #isListening = false;
  #happened = Promise.withResolvers<void>();

  constructor(client: ControlClient, signal: AbortSignal) {
    this.#client = client;
    this.#signal = signal;
  }

  /** Resolves soon after something has happened, or after `ms`. */
  async next(ms: number): Promise<void> {
    if (!this.#isListening) void this.#listen();
    const over = new AbortController();
    const signal = AbortSignal.any([this.#signal, over.signal]);
    const pause = (time: number) => systemClock.sleep(time, { signal }).catch(() => {}); // it ends
    await Promise.race([pause(ms), this.#happened.promise.then(() => pause(settleMs))]);
    over.abort();
    this.#happened = Promise.withResolvers();
  }

  async #listen(): Promise<void> {
    this.#isListening = true;
    try {
      for await (const { event } of this.#client.events({ signal: this.#signal }))
        if (event !== 'snapshot') this.#happened.resolve();
    } catch {
      // no daemon, or none any more: the next look says so, and the one after listens again
    } finally {
      this.#isListening = false;
      this.#happened.resolve();
    }
  }
}
