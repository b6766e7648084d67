import { userInfo } from 'node:os';
import { join } from 'node:path';
import {
  type Endpoint,
  logLineProbe,
  type Probes,
  ProcessService,
  type ProcessSpec,
  type Run,
  type ServiceContext,
  standaloneContext,
} from '@mgpu/core';
import type { z } from 'zod';
import { NoAuthorizedKeyError } from '../errors.ts';
import { makeSecretFolder, writeSecretFile } from '../private-file.ts';
import { readAuthorizedKeys } from './authorized-keys.ts';
import { checkSshdConfig } from './check-sshd-config.ts';
import { type SshConfig, sshSchema } from './config.ts';
import { keepHostKey } from './host-key.ts';
import { locateProgram } from './locate-program.ts';
import { expectOwnPath } from './own-path.ts';
import { endSessions, sessionsOf } from './sessions.ts';
import { sshdConfig } from './sshd-config.ts';
import { updateAccountKeys } from './update-account-keys.ts';

const serverSchema = sshSchema.shape.server.unwrap().omit({ enabled: true });
const keysSchema = sshSchema.omit({ enabled: true, server: true });

/** A server used alone. */
export type SshServerOptions = z.input<typeof keysSchema> &
  z.input<typeof serverSchema> & {
    /** Folder for keys, configuration and log. Default: a temporary one, removed when the service stops. */
    readonly dir?: string;
  };

/**
 * Runs an sshd of our own for the account we run as: with its own host key and configuration, nothing of the system's, public
 * keys only. Ready means that it says it listens. Who is logged in stays so when the daemon is replaced; a stop ends sessions.
 */
export class SshServerService extends ProcessService<Omit<SshConfig, 'enabled'>> {
  #program: string | undefined;
  #hostKeyFingerprint: string | undefined;

  constructor(
    { dir, authorizedKeys, authorizedKeysFile, account, ...server }: SshServerOptions,
    context?: ServiceContext,
  ) {
    const keys = keysSchema.parse({ authorizedKeys, authorizedKeysFile, account });
    const config = { ...keys, server: { enabled: true, ...serverSchema.parse(server) } };
    super(config, context ?? standaloneContext({ kind: 'ssh', root: dir }));
  }

  /** By which clients know the machine, `SHA256:…`; known while it runs. */
  get hostKeyFingerprint(): string | undefined {
    return this.#hostKeyFingerprint;
  }

  /** Where its keys and its configuration lie. */
  get configFolder(): string {
    return this.#files.folder;
  }

  override get endpoint(): Endpoint {
    const { host, port } = this.config.server;
    const reachable = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
    const url = new URL(`ssh://${reachable.includes(':') ? `[${reachable}]` : reachable}:${port}`);
    return { instance: this.id, kind: this.kind, url };
  }

  protected override async onPrepare(run: Run): Promise<void> {
    const { config, context, id: instance } = this;
    const { env, log } = context;
    const { folder, keys, hostKey, sshd } = this.#files;
    const authorized = await readAuthorizedKeys(config);
    if (authorized.length === 0) throw new NoAuthorizedKeyError({ instance });
    const program = await locateProgram(config.server.program, env);
    await makeSecretFolder(instance, folder);
    await expectOwnPath(folder);
    // It is read at every login: an adopted server knows the keys of today.
    await writeSecretFile(keys, `${authorized.join('\n')}\n`);
    if (config.account) await updateAccountKeys(instance, authorized, context);
    const fingerprint = await keepHostKey(hostKey, { env, signal: run.signal });
    await writeSecretFile(sshd, this.#configText);
    if (!run.isAdopted) await checkSshdConfig({ instance, program, config: sshd, env, signal: run.signal });
    this.#program = program;
    this.#hostKeyFingerprint = fingerprint;
    run.defer(() => {
      this.#program = undefined;
      this.#hostKeyFingerprint = undefined;
    });
    this.#endSessionsWith(run);
    log.info(`${instance}: its host key is ${fingerprint}; ${authorized.length} keys may log in`, { instance });
  }

  /** Asked at the beginning of the end, while the server is there to tell whose they are. */
  #endSessionsWith(run: Run): void {
    let sessions: ReturnType<typeof sessionsOf> = [];
    run.signal.addEventListener('abort', () => {
      sessions = this.pid === undefined ? [] : sessionsOf(this.pid);
    });
    run.defer(() => endSessions(sessions));
  }

  protected override command(): ProcessSpec {
    const { host, port } = this.config.server;
    return {
      file: this.#program ?? 'sshd',
      args: ['-D', '-e', '-f', this.#files.sshd],
      inputs: this.#configText,
      graceMs: 5_000,
      ports: [{ host, port }],
    };
  }

  protected override probes(): Probes {
    return { startup: { probe: logLineProbe(/^Server listening on /), deadlineMs: 15_000, intervalMs: 20 } };
  }

  get #configText(): string {
    const { hostKey, keys } = this.#files;
    return sshdConfig({ server: this.config.server, user: userInfo().username, hostKey, authorizedKeys: keys });
  }

  get #files() {
    const folder = join(this.context.layout.state, 'access', 'ssh');
    const file = (name: string) => join(folder, name);
    return { folder, keys: file('authorized_keys'), hostKey: file('host_ed25519'), sshd: file('sshd_config') };
  }
}
