import { rm } from 'node:fs/promises';
import {
  BaseService,
  gitAccessFiles,
  gitEnvironment,
  type MgpuError,
  type Run,
  type ServiceContext,
  standaloneContext,
} from '@mgpu/core';
import type { z } from 'zod';
import { type GitAccessConfig, gitAccessSchema } from './config.ts';
import { logIn } from './log-in.ts';
import { prepareGitAccess } from './prepare-git-access.ts';

const ownSchema = gitAccessSchema.omit({ enabled: true });

/** Git credentials used alone; every key has a default. */
export type GitAccessOptions = z.input<typeof ownSchema> & {
  /** Folder below which the files lie. Default: a temporary one, removed when the service stops. */
  readonly dir?: string;
};

/**
 * Keeps what Git logs in with: deploy key, known hosts, identity. Running means that the files are in force. A key that is
 * damaged, or that a host does not let in, is no failure: the health is `degraded` and says why.
 */
export class GitAccessService extends BaseService<Omit<GitAccessConfig, 'enabled'>> {
  #fingerprint: string | undefined;

  constructor({ dir, ...options }: GitAccessOptions = {}, context?: ServiceContext) {
    super(ownSchema.parse(options), context ?? standaloneContext({ kind: 'git-access', root: dir }));
  }

  /** Of the deploy key in force, `SHA256:…`, as ssh-keygen and Git hosts show it. */
  get fingerprint(): string | undefined {
    return this.#fingerprint;
  }

  /** For Git, and whatever runs it: the environment with these credentials. Read it while the service runs. */
  get environment(): Readonly<Record<string, string | undefined>> {
    return gitEnvironment(this.context.layout, this.context.env);
  }

  protected override async onStart(run: Run): Promise<void> {
    const { context, config, id: instance } = this;
    const { layout, temporaryRoot, env, log } = context;
    if (temporaryRoot) run.defer(() => rm(layout.root, { recursive: true, force: true }));
    const { fingerprint, problem } = await prepareGitAccess(config, { layout, env, signal: run.signal });
    run.signal.throwIfAborted();
    this.#fingerprint = fingerprint;
    run.defer(() => {
      this.#fingerprint = undefined;
    });
    if (problem) {
      log.warn(`${instance}: ${problem.message}`, { instance, hint: problem.hint });
      run.setHealth('degraded', problem.message);
    } else if (fingerprint !== undefined) {
      log.info(`${instance}: Git logs in with the key ${fingerprint}`, { instance });
      const watch = this.#watch(run);
      run.defer(() => watch);
    }
  }

  /** Until every host has let us in once; the boot does not wait for it. */
  async #watch(run: Run): Promise<void> {
    const { clock, log } = this.context;
    const { againMs } = this.config;
    try {
      for (;;) {
        const problems = (await Promise.all(this.config.logIn.map((host) => this.#logIn(host, run.signal)))).flatMap(
          (problem) => problem ?? [],
        );
        if (problems.length === 0) return run.setHealth('ready');
        for (const { message, hint } of problems) log.warn(`${this.id}: ${message}`, { instance: this.id, hint });
        run.setHealth('degraded', problems.map(({ message }) => message).join('; '));
        await clock.sleep(againMs, { signal: run.signal });
      }
    } catch (error) {
      if (!run.signal.aborted) run.setHealth('degraded', (error as Error).message);
    }
  }

  async #logIn(host: string, signal: AbortSignal): Promise<MgpuError | undefined> {
    const { clock, env, layout } = this.context;
    const { attempts, retryMs } = this.config;
    for (let attempt = 1; ; attempt++) {
      const problem = await logIn(host, gitAccessFiles(layout).sshConfig, { env, signal });
      if (!problem?.retryable || attempt >= attempts) return problem;
      await clock.sleep(retryMs, { signal });
    }
  }
}
