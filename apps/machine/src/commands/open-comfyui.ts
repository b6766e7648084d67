import type { ComfyUIConfig } from '@mgpu/comfyui';
import { GenerationStore } from '@mgpu/comfyui/setup';
import { ControlClient } from '@mgpu/control';
import { loggerTo } from '@mgpu/core';
import { OwnCheckoutError } from '../errors.ts';
import { installerEnvironment, noFleet, torchMode } from '../installation.ts';
import { RunningFleet } from '../running-fleet.ts';
import { loadSettings } from '../settings.ts';
import type { CommandContext } from './command.ts';

/** The ComfyUI of a machine, running or not, for commands that install. Throws `MACHINE_OWN_CHECKOUT`. */
export async function openComfyUI({ settings: options, output, interrupted }: CommandContext) {
  const settings = await loadSettings(options);
  const config = settings.config.services.comfyui as unknown as ComfyUIConfig;
  if (config.dir !== undefined) throw new OwnCheckoutError({ kind: 'comfyui', dir: config.dir });
  if (config.command)
    output.notice(`ComfyUI is stood in for by ${config.command.join(' ')}: what is installed is not run`);
  const client = new ControlClient({ socketPath: settings.socketPath });
  const running = new RunningFleet(client, settings.layout);
  const fleet = config.command ? noFleet : running;
  const log = loggerTo((level, message) => {
    if (level === 'error' || level === 'warn') output.notice(message);
  });
  const env = await installerEnvironment(settings, {
    signal: interrupted,
    onProblem: (message) => output.notice(message),
  });
  return {
    settings,
    config,
    log,
    fleet,
    store: new GenerationStore(settings.layout),
    /** What every installation needs to know. */
    common: {
      layout: settings.layout,
      setup: config.setup,
      mode: () => torchMode(settings.config.machine.gpu, { signal: interrupted }),
      env,
      fleet,
      startDeadlineMs: config.startDeadlineMs,
      log,
    },
    async [Symbol.asyncDispose]() {
      await running[Symbol.asyncDispose]();
      await client.close();
    },
  };
}
