import { once } from 'node:events';
import type { Server } from 'node:http';
import { setTimeout } from 'node:timers/promises';
import type { FaultPlan } from '../faults/fault-plan.ts';
import { ProcessFaults } from '../faults/process-faults.ts';
import { StartError } from '../python/start-error.ts';
import { openDatabase } from './database.ts';
import { Engine } from './engine.ts';
import { Folders } from './folders.ts';
import { Log } from './log.ts';
import { nodeClasses } from './nodes/registry.ts';
import type { Options } from './options.ts';
import type { Faults, Simulation } from './script.ts';
import { createComfyServer } from './server.ts';
import { announceStart } from './startup.ts';
import { uncaught } from './uncaught.ts';

export interface SimulatedComfy {
  /** Binds the sockets and says so; resolves when it listens on every address. Throws StartError. */
  listen(): Promise<void>;
  /** Ends as Ctrl-C ends the real server. */
  interrupt(): void;
}

/** Does all of the start but the bind. Undefined after `--quick-test-for-ci`. Throws StartError. */
export async function prepare(
  options: Options,
  simulation: Simulation,
  faults: FaultPlan<Faults>,
  visibleDevices: string | undefined,
): Promise<SimulatedComfy | undefined> {
  const log = new Log(simulation.version, options);
  const folders = new Folders(options);
  const packs = announceStart(options, simulation, folders, log, visibleDevices);
  folders.prepare();
  await openDatabase(options, simulation.version, log);
  if (options.quickTest) return undefined;
  const engine = new Engine({ options, simulation, folders, nodes: nodeClasses(packs), faults, log });
  return {
    listen: () => listen(engine),
    interrupt() {
      log.info('\nStopped server');
      folders.wipeTemp();
    },
  };
}

async function listen(engine: Engine): Promise<void> {
  const { options, simulation, faults, log } = engine;
  const processFaults = new ProcessFaults();
  const makeServer = createComfyServer(engine, processFaults);
  void engine.work();

  // Counted from the creation of the process, so that a busy machine does not make the imitated start longer.
  const due = simulation.startMs - performance.now();
  if (due > 0) await setTimeout(due);
  log.info('Starting server\n');
  for (const [i, address] of options.listen.entries()) {
    const server = makeServer();
    await bind(server, address, engine);
    // Before the line that says ready, so that whoever waits for it finds the child.
    if (i === 0) await processFaults.begin(faults.current, server);
    const host = address.includes(':') ? `[${address}]` : address;
    if (options.printServer) log.info(`To see the GUI go to: http://${host}:${options.port}`);
  }
}

async function bind(server: Server, address: string, engine: Engine): Promise<void> {
  const { port } = engine.options;
  if (port < 0 || port > 65535) throw uncaught(620, 'OverflowError: bind(): port must be 0-65535.');
  try {
    server.listen({ port, host: address, ipv6Only: address.includes(':') });
    await once(server, 'listening');
  } catch (error) {
    const { code, errno = 0, message } = error as NodeJS.ErrnoException;
    const unresolved = UNRESOLVED[code ?? ''];
    if (unresolved !== undefined) throw uncaught(620, `socket.gaierror: ${unresolved}`);
    if (code === 'EADDRINUSE' && engine.isSince('0.21.0')) {
      engine.log.error(
        `Port ${port} is already in use on address ${address}. Please close the other application or use a different port with --port.`,
      );
      throw new StartError('');
    }
    const reason = REASONS[code ?? ''] ?? message;
    throw uncaught(
      620,
      `OSError: [Errno ${-errno}] error while attempting to bind on address ('${address}', ${port}): ${reason}`,
    );
  }
}

const UNRESOLVED: Readonly<Record<string, string>> = {
  EAI_AGAIN: '[Errno -3] Temporary failure in name resolution',
  ENOTFOUND: '[Errno -2] Name or service not known',
};
/** The C library's words. */
const REASONS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'address already in use',
  EADDRNOTAVAIL: 'cannot assign requested address',
  EACCES: 'permission denied',
};
