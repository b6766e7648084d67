import { rename, rm } from 'node:fs/promises';
import {
  allOfProbe,
  type Endpoint,
  expectPortsFree,
  type Probes,
  ProcessService,
  type ProcessSpec,
  type Run,
  type ServiceContext,
  standaloneContext,
} from '@mgpu/core';
import type { z } from 'zod';
import { applyConfig } from './apply-config.ts';
import { nginxArguments } from './check-config.ts';
import { type NginxConfig, nginxSchema } from './config.ts';
import { NotRunningError } from './errors.ts';
import { filesOf, type NginxFiles, removeTraces } from './files.ts';
import { locateProgram } from './locate-program.ts';
import { type ProxyRoute, portsOf } from './routes.ts';
import { authProbe, statusProbe } from './status-socket.ts';
import { expectProtected } from './users.ts';
import { type WrittenConfig, writeConfig } from './write-config.ts';

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
  #program = 'nginx';
  #current: WrittenConfig = { routes: [], generation: '' };
  #reloading: Promise<unknown> = Promise.resolve();

  constructor({ dir, endpoints, ...config }: NginxOptions = {}, context?: ServiceContext) {
    const alone = () => standaloneContext({ kind: 'nginx', ...(dir === undefined ? {} : { root: dir }) });
    super(nginxSchema.parse(config), context ?? alone());
    this.#given = endpoints;
  }

  /** The main port. */
  override get endpoint(): Endpoint {
    const { host, port } = this.config;
    const reachable = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
    const written = reachable.includes(':') ? `[${reachable}]` : reachable;
    return { instance: this.id, kind: this.kind, url: new URL(`http://${written}:${port}/`) };
  }

  /** The configuration in use. */
  get configFile(): string {
    return this.#files.config;
  }

  /**
   * Serves other endpoints (default: those the machine has now). The new configuration is checked before nginx gets it
   * and proven to be in use afterwards; when anything goes wrong the former one goes on serving. Users are read again.
   * Throws `NGINX_CONFIG_REJECTED`, `NGINX_RELOAD_FAILED`, `NGINX_NOT_RUNNING`, `NGINX_VALUE_REFUSED`,
   * `NGINX_AUTH_FILE` or `CORE_PORT_IN_USE`.
   */
  reload(endpoints: readonly Endpoint[] = this.#endpoints, options: { signal?: AbortSignal } = {}): Promise<void> {
    const turn = this.#reloading.then(() => this.#reload(endpoints, options.signal));
    this.#reloading = turn.catch(() => {}); // told to its own caller; the next one may still succeed
    return turn;
  }

  protected override async onPrepare(run: Run): Promise<void> {
    const { config, context, id } = this;
    const files = this.#files;
    expectProtected(id, config);
    this.#program = await locateProgram(config.program, context.env);
    run.defer(() => removeTraces(files));
    this.#current = await this.#write(this.#endpoints, run.signal);
    await rename(files.next, files.config);
    // nginx does not listen on the socket file that a dead one left.
    await rm(files.statusSocket, { force: true });
  }

  protected override command(): ProcessSpec {
    const { folder, config } = this.#files;
    return {
      file: this.#program,
      args: nginxArguments(config, folder),
      cwd: folder,
      // nginx takes the variable of its own name for a list of sockets it inherits.
      env: { NGINX: undefined },
      stopSignal: 'SIGQUIT',
      graceMs: this.config.drainMs + 25_000,
      ports: this.#addresses(this.#current.routes),
    };
  }

  protected override probes(): Probes {
    const { statusSocket } = this.#files;
    const { usersFile } = this.#current;
    const answers = statusProbe(statusSocket, () => this.#current.generation);
    const asks = usersFile === undefined ? [] : [authProbe(this.id, statusSocket, usersFile)];
    return {
      startup: { probe: allOfProbe([answers, ...asks]), deadlineMs: 15_000, intervalMs: 10 },
      readiness: { probe: statusProbe(statusSocket) },
    };
  }

  get #files(): NginxFiles {
    return filesOf(this.context.layout, this.id);
  }

  get #endpoints(): readonly Endpoint[] {
    return this.#given ?? this.context.machine.endpoints();
  }

  #addresses(routes: readonly ProxyRoute[]) {
    const { host, port } = this.config;
    return [port, ...portsOf(routes)].map((each) => ({ host: host === 'localhost' ? '127.0.0.1' : host, port: each }));
  }

  #write(endpoints: readonly Endpoint[], signal: AbortSignal | undefined): Promise<WrittenConfig> {
    const { id: instance, config, context } = this;
    return writeConfig({
      instance,
      config,
      program: this.#program,
      files: this.#files,
      endpoints,
      env: { ...context.env, NGINX: undefined },
      signal,
    });
  }

  async #reload(endpoints: readonly Endpoint[], signal: AbortSignal | undefined): Promise<void> {
    const { pid, id, logFile, context } = this;
    const files = this.#files;
    const { state } = this.status;
    if (state !== 'running' || pid === undefined) throw new NotRunningError({ instance: id, state });
    const written = await this.#write(endpoints, signal);
    const { clock } = context;
    const taken = new Set(this.#addresses(this.#current.routes).map(({ port }) => port));
    const added = this.#addresses(written.routes).filter(({ port }) => !taken.has(port));
    // `nginx -t` does not mind ports that others hold.
    await expectPortsFree(id, added, { clock, signal });
    await applyConfig({ instance: id, pid, files, generation: written.generation, logFile, clock, signal });
    this.#current = written;
  }
}
