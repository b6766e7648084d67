import type { Server } from 'node:http';
import { floodStdout } from './flood.ts';
import type { JobFaults } from './job-faults-schema.ts';
import { leaveChild } from './leftover.ts';

/** The faults that happen to the process by themselves: once it listens, and again whenever they are set. */
export class ProcessFaults {
  #server: Server | undefined;
  #flood = new AbortController();
  #childPid: number | undefined;

  /** The latest child left behind. */
  get childPid(): number | undefined {
    return this.#childPid;
  }

  /** Begins what is asked for and ends an earlier flood. `server` is the one whose port a child may hold. */
  async begin({ leaveChild: child, floodStdout: flood }: JobFaults, server = this.#server): Promise<void> {
    this.#server = server;
    this.#flood.abort();
    this.#flood = new AbortController();
    if (child !== undefined && server !== undefined) this.#childPid = await leaveChild(child, server);
    if (flood !== undefined) void floodStdout(flood, this.#flood.signal);
  }
}
