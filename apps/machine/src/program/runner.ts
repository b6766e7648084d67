import type { Command } from 'commander';
import type { CommandContext } from '../commands/command.ts';
import { exitCodes } from '../commands/exit-codes.ts';
import type { Invocation, MachineCommand } from '../finish.ts';

/** What the command itself says beside the global options. */
interface LocalOptions {
  readonly mock?: number;
}

type AskingCommand = (ask: typeof import('#ask'), context: CommandContext) => Promise<number>;

/** Runs what a command line asks for, and ends the process with its exit code. */
export interface Runner {
  run(command: MachineCommand, local?: LocalOptions): Promise<void>;
  /** Runs one of those of `#ask`, which start fastest. */
  ask(command: AskingCommand, local?: LocalOptions): Promise<void>;
}

interface GlobalOptions {
  readonly root?: string;
  readonly config?: string;
  readonly json?: boolean;
}

/** For the global options of that program. From here on signals are what the command makes of them. */
export function createRunner(program: Command): Runner {
  const interrupted = new AbortController();
  const impatient = new AbortController();
  // A closed terminal ends a machine in the foreground as Ctrl-C does; nobody would be left to stop it.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      if (impatient.signal.aborted) process.exit(exitCodes.failed);
      if (interrupted.signal.aborted) impatient.abort();
      else interrupted.abort();
    });
  }
  const invocation = ({ mock }: LocalOptions): Invocation => {
    const { root, config: file, json = false } = program.opts<GlobalOptions>();
    const settings = { config: file, root, mock, env: process.env, cwd: process.cwd() };
    return { json, settings, interrupted: interrupted.signal, impatient: impatient.signal };
  };
  return {
    async run(command, local = {}) {
      const { finish } = await import('../finish.ts');
      await finish(command, invocation(local));
    },
    async ask(command, local = {}) {
      const ask = await import('#ask');
      await ask.finish((context) => command(ask, context), invocation(local));
    },
  };
}
