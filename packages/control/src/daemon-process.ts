import { socketHolder } from '@mgpu/core';

/** The process behind a daemon's socket, as the system tells it: it was bound beside the name it has now. */
export const daemonProcess = (socketPath: string, { exceptBoundTo = '' } = {}): number | undefined =>
  socketHolder((path) => path.startsWith(`${socketPath}.`) && path !== exceptBoundTo)?.pid;
