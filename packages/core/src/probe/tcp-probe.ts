import { connect } from 'node:net';
import { isOurFault } from './our-fault.ts';
import { type Probe, type ProbeOutcome, probeFail, probeOk } from './probe.ts';

/** Asks whether somebody accepts connections on a TCP port or a Unix socket. */
export function tcpProbe(target: { readonly host?: string; readonly port: number } | { readonly path: string }): Probe {
  const address = 'path' in target ? target : { host: target.host ?? '127.0.0.1', port: target.port };
  return {
    description: `connect to ${'path' in address ? address.path : `${address.host}:${address.port}`}`,
    attempt: ({ signal }) =>
      new Promise<ProbeOutcome>((resolve) => {
        const socket = connect({ ...address, signal });
        socket.once('connect', () => {
          resolve(probeOk);
          socket.destroy();
        });
        socket.once('error', (error: NodeJS.ErrnoException) => {
          if (isOurFault(error)) resolve({ outcome: 'unknown', reason: error.message });
          else resolve(probeFail(error.code ?? error.message));
        });
        socket.once('close', () => resolve(probeFail('closed')));
      }),
  };
}
