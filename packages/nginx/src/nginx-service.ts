import {
  allOfProbe,
  type Endpoint,
  type Probes,
  ProcessService,
  type ProcessSpec,
  prepareSocket,
  type Run,
  reportError,
  type ServiceContext,
  standaloneContext,
} from '@mgpu/core';
import type { z } from 'zod';
import { beforePort } from './address.ts';
import { nginxArguments } from './command-line.ts';
import { type NginxConfig, nginxSchema } from './config.ts';
import { ConfigRejectedError, NotRunningError } from './errors.ts';
import { filesOf, type NginxFiles } from './files.ts';
import { LiveConfig, type LiveRun } from './live-config.ts';
import { locateProgram } from './locate-program.ts';
import { bringRepository, goBack, includesOf } from './own-config.ts';
import { authProbe, statusProbe } from './status-socket.ts';
import { asksForPassword, expectProtected, prepareUsersFolder } from './users.ts';
import { findWorkerUser } from './worker-user.ts';

/** nginx takes the variable of its own name for a list of sockets it inherits. */
const notInherited = { NGINX: undefined };

/** Options of a proxy used alone; every key has a default. */
export type NginxOptions = z.input<typeof nginxSchema> & {
  /** Folder for configuration and logs. Default: a temporary one, removed when the service stops. */
  readonly dir?: string;
  /** What is proxied. Default: what the machine has. */
  readonly endpoints?: readonly Endpoint[];
};

/**
 * Runs nginx in front of the engines: a port per GPU, `/<kind>/<gpu>/` on the main port, and `/<kind>/` balanced with
 * sticky sessions. The configuration is rendered from the endpoints and checked by nginx itself before every use. Ready
 * means that our nginx answered on its own socket with this configuration.
 */
export class NginxService extends ProcessService<NginxConfig> {
  readonly #given: readonly Endpoint[] | undefined;
  /** Of the present run. */
  #live: LiveConfig | undefined;

  constructor({ dir, endpoints, ...config }: NginxOptions = {}, context?: ServiceContext) {
    super(nginxSchema.parse(config), context ?? standaloneContext({ kind: 'nginx', root: dir }));
    this.#given = endpoints;
  }

  /** The main port. */
  override get endpoint(): Endpoint {
    const { host, port } = this.config;
    const reachable = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
    return { instance: this.id, kind: this.kind, url: new URL(`http://${beforePort(reachable)}:${port}/`) };
  }

  /** The configuration in use. */
  get configFile(): string {
    return this.#files.config;
  }

  /**
   * Serves other endpoints (default: those the machine has now). The new configuration is checked before nginx gets it
   * and proven to be in use afterwards (nginx's former workers take requests for up to 100 ms more); when anything goes
   * wrong the former one goes on serving, with its users. Users are read again. The signal calls it off until nginx has been told. Throws `NGINX_CONFIG_REJECTED`,
   * `NGINX_RELOAD_FAILED`, `NGINX_NOT_RUNNING`, `NGINX_VALUE_REFUSED`, `NGINX_AUTH_FILE` or `CORE_PORT_IN_USE`.
   */
  async reload(
    endpoints: readonly Endpoint[] = this.#endpoints,
    { signal }: { signal?: AbortSignal } = {},
  ): Promise<void> {
    const { state } = this.status;
    if (!this.#live || state !== 'running') throw new NotRunningError({ instance: this.id, state });
    await this.#live.replace(endpoints, signal);
  }

  protected override async onPrepare(run: Run): Promise<void> {
    const { config, context, id: instance, logFile } = this;
    const files = this.#files;
    expectProtected(instance, config);
    const program = await locateProgram(config.program, context.env);
    await prepareSocket(run, context.layout, instance);
    const place = { ...context, signal: run.signal };
    const brought = config.repository && (await bringRepository(config.repository, place));
    const includes = includesOf(config, context);
    const worker = await findWorkerUser(config.user);
    const group = worker?.user === 'root' ? undefined : worker?.gid;
    const users = asksForPassword(config) ? await prepareUsersFolder(run, instance, files, group) : undefined;
    const setup = {
      instance,
      config,
      program,
      files,
      includes,
      worker,
      users,
      env: { ...context.env, ...notInherited },
    };
    const { signal, isAdopted } = run;
    const liveRun: LiveRun = {
      signal,
      isAdopted,
      setHealth: (health, reason) => run.setHealth(health, reason),
      clock: context.clock,
      logFile,
      hangUp: () => this.signal('SIGHUP'),
    };
    const begin = () => LiveConfig.begin(setup, liveRun, this.#endpoints);
    const live = await begin().catch(async (error: unknown) => {
      const { repository } = config;
      if (!repository || brought?.former === undefined || !(error instanceof ConfigRejectedError)) throw error;
      // What somebody committed must not take the proxy down.
      await goBack(repository, brought.former, place);
      const why = `${instance}: serves the configuration that its repository had before: ${error.message}`;
      context.log.warn(why, { error });
      run.setHealth('degraded', why);
      return await begin();
    });
    this.#live = live;
    run.defer(async () => {
      this.#live = undefined;
      await live.settled();
    });
  }

  /** What the daemon before us had it serve may not be what there is now; where it cannot be changed that still serves. */
  protected override async onAdopted(run: Run): Promise<void> {
    try {
      await this.#live?.replace(this.#endpoints, undefined);
    } catch (error) {
      run.signal.throwIfAborted();
      this.context.log.warn(`${this.id}: goes on with its former configuration`, { error: reportError(error) });
      run.setHealth('degraded', `its former configuration cannot be replaced: ${reportError(error).message}`);
    }
  }

  protected override command(): ProcessSpec {
    const { folder, config } = this.#files;
    return {
      file: this.#live?.program ?? 'nginx',
      args: nginxArguments(config, folder),
      cwd: folder,
      env: notInherited,
      stopSignal: 'SIGQUIT',
      graceMs: this.config.drainMs + 25_000,
      ports: this.#live?.addresses ?? [],
    };
  }

  protected override probes(): Probes {
    const { statusSocket } = this.#files;
    const asks = asksForPassword(this.config)
      ? [authProbe(this.id, statusSocket, () => this.#live?.current.usersFile)]
      : [];
    const serves = statusProbe(statusSocket, () => this.#live?.current.generation);
    return {
      startup: { probe: allOfProbe([serves, ...asks]), deadlineMs: 15_000, intervalMs: 10 },
      readiness: { probe: allOfProbe([statusProbe(statusSocket), ...asks]) },
      // A request through it; what it serves is no question of its life.
      liveness: { probe: statusProbe(statusSocket), orReady: true, intervalMs: 10_000, timeoutMs: 2_000, failures: 3 },
    };
  }

  get #files(): NginxFiles {
    return filesOf(this.context.layout, this.id);
  }

  get #endpoints(): readonly Endpoint[] {
    return this.#given ?? this.context.machine.endpoints();
  }
}
