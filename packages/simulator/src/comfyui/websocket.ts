import type { Server } from 'node:http';
import { WebSocketServer } from 'ws';
import type { Engine } from './engine.ts';
import { isForeign } from './origin.ts';

/** Takes the upgrades of `/ws` and `/api/ws` of one HTTP server to the hub. */
export function acceptSockets(server: Server, { hub, faults, options }: Engine): void {
  const sockets = new WebSocketServer({ noServer: true, maxPayload: options.maxUploadBytes });
  server.on('upgrade', (request, socket, head) => {
    const [path = '', query] = (request.url ?? '').split('?');
    const refuse = (status: string) =>
      socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
    socket.on('error', () => socket.destroy());
    if (options.cors === undefined && isForeign(request.headers)) return refuse('403 Forbidden');
    if (path !== '/ws' && path !== '/api/ws') return refuse('404 Not Found');
    if (faults.current.websocket?.refuse && faults.strike('websocket') !== undefined)
      return refuse('503 Service Unavailable');
    sockets.handleUpgrade(request, socket, head, (webSocket) =>
      hub.connect(webSocket, new URLSearchParams(query).get('clientId') ?? ''),
    );
  });
}
