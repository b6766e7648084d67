import { once } from 'node:events';
import type { Server } from 'node:http';
import { setTimeout } from 'node:timers/promises';
import { Engine } from './engine.ts';
import { floodStdout } from './flood.ts';
import { Folders } from './folders.ts';
import { leaveChild } from './leftover.ts';
import { Log } from './log.ts';
import type { Options } from './options.ts';
import { pyRepr } from './python.ts';
import type { Simulation } from './script.ts';
import { createComfyServer } from './server.ts';
import { announceStart, pythonTraceback, StartError } from './startup.ts';

export interface SimulatedComfy {
  /** Binds the sockets and says so; resolves when it listens on every address. Throws StartError. */
  listen(): Promise<void>;
  /** Ends as Ctrl-C ends the real server. */
  interrupt(): void;
}

/** Does all of the start but the bind. Undefined after `--quick-test-for-ci`. Throws StartError. */
export function prepare(
  options: Options,
  simulation: Simulation,
  visibleDevices: string | undefined,
): SimulatedComfy | undefined {
  const log = new Log(simulation.version, options.logStdout);
  const folders = openFolders(options);
  announceStart(options, simulation, folders, log, visibleDevices);
  folders.prepare();
  if (options.quickTest) return undefined;
  const engine = new Engine(options, simulation, folders, log);
  return {
    listen: () => listen(engine),
    interrupt() {
      log.info('\nStopped server');
      folders.wipeTemp();
    },
  };
}

async function listen(engine: Engine): Promise<void> {
  const { options, simulation, log } = engine;
  let childPid: number | undefined;
  const makeServer = createComfyServer(engine, () => childPid);
  void engine.work();

  // Counted from the creation of the process, so that a busy machine does not make the imitated start longer.
  const due = simulation.startMs + (simulation.faults.startLateMs ?? 0) - performance.now();
  if (due > 0) await setTimeout(due);
  log.info('Starting server\n');
  const { leaveChild: leftover, floodStdout: flood } = simulation.faults;
  for (const [i, address] of options.listen.entries()) {
    const server = await bind(makeServer(), address, options, simulation, log);
    // Before the line that says ready, so that whoever waits for it finds the child.
    if (leftover !== undefined && i === 0) childPid = await leaveChild(leftover, server);
    const host = address.includes(':') ? `[${address}]` : address;
    if (options.printServer) log.info(`To see the GUI go to: http://${host}:${options.port}`);
  }
  if (flood !== undefined) void floodStdout(flood);
}

function openFolders(options: Options): Folders {
  try {
    return new Folders(options);
  } catch (error) {
    const { code, path = '' } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    throw pythonTraceback('258', `FileNotFoundError: [Errno 2] No such file or directory: ${pyRepr(path)}`);
  }
}

async function bind(
  server: Server,
  address: string,
  options: Options,
  simulation: Simulation,
  log: Log,
): Promise<Server> {
  const { port } = options;
  if (port < 0 || port > 65535) throw pythonTraceback('620', 'OverflowError: bind(): port must be 0-65535.');
  try {
    server.listen({ port, host: address, ipv6Only: address.includes(':') });
    await once(server, 'listening');
    return server;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const text = `error while attempting to bind on address ('${address}', ${port}): `;
    if (code !== 'EADDRINUSE')
      throw pythonTraceback('620', `OSError: [Errno 99] ${text}cannot assign requested address`);
    if (!simulation.version.startsWith('0.') || !isTidy(simulation.version))
      throw pythonTraceback('620', `OSError: [Errno 98] ${text}address already in use`);
    log.error(
      `Port ${port} is already in use on address ${address}. Please close the other application or use a different port with --port.`,
    );
    throw new StartError('');
  }
}

const isTidy = (version: string) => Number(version.split('.')[1]) >= 21;
