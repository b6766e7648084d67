import { connect, createServer } from 'node:net';

/**
 * Holds a name that only one process of this host can hold, whatever its user, until it is disposed of or the process ends
 * in whatever way: an abstract Unix socket (unix(7)), which the kernel gives once per network namespace. Undefined when
 * somebody holds it. Rejects with the system's error.
 */
export function holdName(name: string): Promise<Disposable | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer((stranger) => stranger.destroy());
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(undefined);
      else reject(error);
    });
    // Held by the process as long as it lives, but no reason for it to live on.
    server.unref();
    server.listen({ path: pathOf(name), exclusive: true }, () =>
      resolve({ [Symbol.dispose]: () => void server.close() }),
    );
  });
}

/** Whether somebody holds the name, ourselves included. Rejects with the system's error. */
export function isNameHeld(name: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path: pathOf(name) }, () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNREFUSED') resolve(false);
      else reject(error);
    });
  });
}

const pathOf = (name: string) => `\0mgpu-${name}`;
