import { existsSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { ControlApi, ControlService, type MachineControl, type MachineStatus } from '@mgpu/control';
import { BootTrace, type Layout, settleRoot, silentLogger, standaloneContext, systemClock } from '@mgpu/core';
import { StoppingError } from './errors.ts';
import type { Location } from './settings.ts';
import { version } from './version.ts';

/**
 * Ends what a daemon that died left on this root, holding the root meanwhile as a daemon does: none that comes up can adopt
 * what is being ended. Returns the instances of what was there. Throws `CONTROL_ALREADY_RUNNING` when there is a daemon.
 */
export async function endLeftovers({ layout, socketPath }: Location, signal: AbortSignal): Promise<readonly string[]> {
  if (!existsSync(layout.run)) return [];
  const context = standaloneContext({ kind: 'control', root: layout.root });
  await using api = new ControlApi(caretaker(layout));
  await using lock = new ControlService({ socketPath }, api, context);
  await lock.start();
  const ended = await settleRoot({ layout, clock: systemClock, log: silentLogger, signal, graceful: true });
  // Sockets and drafts of the dead: with everything ended they mean nothing any more.
  const rest = (await readdir(layout.run)).filter((name) => name !== basename(socketPath));
  if (ended.length > 0) await Promise.all(rest.map((name) => rm(join(layout.run, name), { recursive: true })));
  return ended;
}

/** To whoever asks meanwhile: a machine that is stopping. */
function caretaker(layout: Layout): MachineControl {
  const refuse = () => {
    throw new StoppingError({ root: layout.root });
  };
  const daemon = { pid: process.pid, run: '', version, startedAt: new Date().toISOString() };
  const boot = new BootTrace({ daemonRun: '', clock: systemClock }).report();
  const status: MachineStatus = {
    machineId: '',
    root: layout.root,
    state: 'stopping',
    daemon,
    gpus: [],
    boot,
    instances: [],
    problems: [],
  };
  return {
    status: () => status,
    overview: async () => status,
    subscribe: () => () => {},
    up: async () => refuse(),
    down: async () => {},
    startInstance: async () => refuse(),
    stopInstance: async () => refuse(),
    restartInstance: async () => refuse(),
    operate: async () => refuse(),
    holdInstance: async () => refuse(),
    jobs: refuse,
    jobTypes: () => [],
    artifactsDir: layout.artifacts,
    incidents: async () => [],
    config: refuse,
    logs: () => ({ instances: [], daemon: layout.logs }),
    operations: [],
    metrics: async () => refuse(),
  };
}
