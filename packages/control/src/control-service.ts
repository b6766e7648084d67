import { chmod, mkdir, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import {
  BaseService,
  type Endpoint,
  expectSocketPath,
  type Run,
  type ServiceContext,
  socketUrl,
  standaloneContext,
} from '@mgpu/core';
import { ControlClient } from './client/control-client.ts';
import type { ControlApi } from './control-api.ts';
import { daemonProcess } from './daemon-process.ts';
import { DaemonRunningError } from './errors.ts';
import type { Face } from './routes/route.ts';
import { closeServer, createControlServer } from './server.ts';
import { besideOf, claimName, identityOf, releaseName, removeDeadBeside } from './socket-lock.ts';

export interface ControlOptions {
  /** Absolute path of the Unix socket; it becomes mode 0600 and is the lock of the machine's root. */
  readonly socketPath: string;
}

const pidTimeoutMs = 2_000;
/** Streams of events open at the same time, for whoever may open the socket. */
const mostStreams = 10_000;

/** Whoever may open the socket may everything. */
const socketFace: Face = { name: 'socket', isTrusted: () => true, whoIs: () => ({ face: 'socket' }) };

/**
 * Listens on the daemon's Unix socket. Holding the socket is holding the root: a second one on the same path fails with
 * `CONTROL_ALREADY_RUNNING`, a socket whose daemon is dead is taken over.
 */
export class ControlService extends BaseService<ControlOptions> {
  readonly #api: ControlApi;

  constructor(
    config: ControlOptions,
    api: ControlApi,
    context: ServiceContext = standaloneContext({ kind: 'control' }),
  ) {
    super(config, context);
    this.#api = api;
  }

  override get endpoint(): Endpoint {
    return { instance: this.id, kind: this.kind, url: socketUrl(this.config.socketPath) };
  }

  protected override async onStart(run: Run): Promise<void> {
    const { socketPath } = this.config;
    const boundPath = besideOf(socketPath, run.id);
    expectSocketPath(this.id, boundPath);
    await mkdir(dirname(socketPath), { recursive: true, mode: 0o700 });
    const server = createControlServer(this.#api, {
      face: socketFace,
      clock: this.context.clock,
      mostStreams,
    });
    run.defer(() => closeServer(server, this.context.clock));
    run.defer(() => rm(boundPath, { force: true }));
    await server.listen({ path: boundPath });
    await chmod(boundPath, 0o600);
    const own = await identityOf(boundPath);
    if (!(await claimName(boundPath, socketPath))) {
      throw new DaemonRunningError({ socketPath, pid: await pidBehind(socketPath, boundPath) });
    }
    run.defer(() => releaseName(socketPath, own));
    await rm(boundPath, { force: true });
    await removeDeadBeside(socketPath);
  }
}

/** Of whoever listens there, as it says itself; of one that says nothing, as the system says. */
async function pidBehind(socketPath: string, ourBoundPath: string): Promise<number | undefined> {
  await using client = new ControlClient({ socketPath, answerTimeoutMs: pidTimeoutMs });
  return await client.status().then(
    ({ daemon }) => daemon.pid,
    () => daemonProcess(socketPath, { exceptBoundTo: ourBoundPath }),
  );
}
