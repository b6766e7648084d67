import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';

/** Bytes of heap that a Node process uses after a collection, by its inspector; SIGUSR1 opens that. */
export async function heapAfterCollection(pid: number, inspectPort: number): Promise<number> {
  process.kill(pid, 'SIGUSR1');
  const socket = new WebSocket(await debuggerUrl(inspectPort));
  await once(socket, 'open');
  try {
    await ask(socket, 'HeapProfiler.collectGarbage');
    const { usedSize } = await ask<{ usedSize: number }>(socket, 'Runtime.getHeapUsage');
    return usedSize;
  } finally {
    socket.close();
  }
}

async function debuggerUrl(port: number): Promise<string> {
  for (let attempt = 0; ; attempt++) {
    try {
      const response = await fetch(`http://127.0.0.1:${port}/json/list`);
      const [target] = (await response.json()) as { webSocketDebuggerUrl: string }[];
      if (target) return target.webSocketDebuggerUrl;
    } catch (error) {
      if (attempt === 100) throw error;
    }
    await sleep(50);
  }
}

let lastId = 0;

function ask<T>(socket: WebSocket, method: string): Promise<T> {
  const id = ++lastId;
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  socket.addEventListener('close', () => reject(new Error(`the inspector went away during ${method}`)));
  socket.addEventListener('message', ({ data }) => {
    const answer = JSON.parse(String(data)) as { id?: number; result?: T; error?: { message: string } };
    if (answer.id !== id) return;
    if (answer.error) reject(new Error(`${method}: ${answer.error.message}`));
    else resolve(answer.result as T);
  });
  socket.send(JSON.stringify({ id, method }));
  return promise;
}
