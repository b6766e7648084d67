import { rename } from 'node:fs/promises';
import { type Clock, type Endpoint, expectPortsFree, type ListenAddress, type Run } from '@mgpu/core';
import { ipOf } from './address.ts';
import { applyConfig } from './apply-config.ts';
import { readConfigInUse } from './config-in-use.ts';
import { NotRunningError } from './errors.ts';
import { keepUsers, usersFileOf } from './users.ts';
import { type ConfigSetup, type WrittenConfig, writeConfig } from './write-config.ts';

/** The run whose configuration it is, and how its nginx is told to read it again. */
export interface LiveRun extends Pick<Run, 'signal' | 'isAdopted' | 'setHealth'> {
  readonly clock: Clock;
  readonly logFile: string;
  /** Nothing happens when there is no nginx any more. */
  hangUp(): void;
}

/** The configuration of one run of nginx: the one in use, and how another takes its place. */
export class LiveConfig {
  readonly #setup: ConfigSetup;
  readonly #run: LiveRun;
  #current: WrittenConfig;
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(setup: ConfigSetup, run: LiveRun, current: WrittenConfig) {
    this.#setup = setup;
    this.#run = run;
    this.#current = current;
  }

  /** Puts the first configuration in place, for an nginx that is not there yet; an adopted one keeps what it has. */
  static async begin(setup: ConfigSetup, run: LiveRun, endpoints: readonly Endpoint[]): Promise<LiveConfig> {
    const { files, users } = setup;
    const inUse = run.isAdopted ? await readConfigInUse(files.config) : undefined;
    if (inUse) {
      const usersFile = users && usersFileOf(users, inUse.generation);
      return new LiveConfig(setup, run, { ...inUse, usersFile });
    }
    const first = await writeConfig(setup, endpoints, run.signal);
    await rename(files.next, files.config);
    return new LiveConfig(setup, run, first);
  }

  get program(): string {
    return this.#setup.program;
  }

  /** The one in use. */
  get current(): WrittenConfig {
    return this.#current;
  }

  /** What nginx listens on. */
  get addresses(): readonly ListenAddress[] {
    return this.#addressesOf(this.#current);
  }

  /** Resolves when no configuration is being replaced. */
  async settled(): Promise<void> {
    await this.#turn;
  }

  /** Lets nginx use other endpoints, one caller after the other. The signal counts until nginx has been told. */
  replace(endpoints: readonly Endpoint[], signal: AbortSignal | undefined): Promise<void> {
    const turn = this.#turn.then(() => this.#replace(endpoints, signal));
    this.#turn = turn.catch(() => {}); // told to its own caller; the next one may still succeed
    return turn;
  }

  async #replace(endpoints: readonly Endpoint[], caller: AbortSignal | undefined): Promise<void> {
    const run = this.#run;
    const { instance, files, users } = this.#setup;
    const signal = caller ? AbortSignal.any([run.signal, caller]) : run.signal;
    try {
      signal.throwIfAborted();
      const former = this.#current;
      const next = await writeConfig(this.#setup, endpoints, signal);
      // `nginx -t` does not mind ports that others hold.
      const taken = new Set(this.addresses.map(({ port }) => port));
      const added = this.#addressesOf(next).filter(({ port }) => !taken.has(port));
      await expectPortsFree(instance, added, { clock: run.clock, signal });
      signal.throwIfAborted();
      await applyConfig({ instance, files, run, generation: next.generation });
      this.#current = next;
      run.setHealth('ready'); // an adopted one may have had to go on with its former configuration
      // The former's workers still take a request or two; those before them were told to end before this one was read.
      if (users) await keepUsers(users, [next.generation, former.generation]);
    } catch (cause) {
      if (run.signal.aborted) throw new NotRunningError({ instance, state: 'ending' }, { cause });
      throw cause;
    }
  }

  #addressesOf({ ports }: WrittenConfig): ListenAddress[] {
    const host = ipOf(this.#setup.config.host);
    return ports.map((port) => ({ host, port }));
  }
}
