import type { Socket } from 'node:net';
import { type Dispatcher, undici, withoutCredentials } from '@mgpu/core/http-client';
import { reportError } from '@mgpu/core/jobs';
import { ComfyUIUnreachableError } from '../errors.ts';
import { readEvent } from './read-event.ts';
import { maxBytes } from './transport.ts';
import type { EngineEvent } from './types.ts';

export interface EventHandlers {
  onEvent(event: EngineEvent): void;
  /** A message was of no use; what it said is missing. */
  onGarbage?(problem: string): void;
  /** Once, when the other side ended it; not after `close()`. */
  onClose(problem: string): void;
}

/** An open websocket. */
export interface EventConnection {
  readonly clientId: string;
  close(): void;
}

/**
 * Opens the websocket of one client id and resolves when it is open; the signal matters only until then. Take a new id
 * each time: the engine forgets a connection when an older one of the same id ends. Throws `COMFYUI_UNREACHABLE` and the
 * signal's reason.
 */
export async function openEvents(
  engine: URL,
  clientId: string,
  handlers: EventHandlers,
  { signal }: { readonly signal?: AbortSignal | undefined } = {},
): Promise<EventConnection> {
  const { Agent, WebSocket, buildConnector } = await undici();
  signal?.throwIfAborted();
  const dial = buildConnector({});
  let line: Socket | undefined;
  const agent = new Agent({
    webSocket: { maxPayloadSize: maxBytes },
    // Once upgraded, a connection is no longer the agent's to end.
    connect: (options, done) =>
      dial(options, (...result) => {
        line = result[1] ?? undefined;
        done(...result);
      }),
  });
  const { url: target, authorization } = withoutCredentials(engine);
  const url = new URL(`ws?clientId=${encodeURIComponent(clientId)}`, target);
  const socket = new WebSocket(url.href.replace(/^http/, 'ws'), {
    dispatcher: agent.compose(withoutCompression),
    ...(authorization === undefined ? {} : { headers: { authorization } }),
  });
  socket.binaryType = 'arraybuffer';
  const { promise: opened, resolve, reject } = Promise.withResolvers<void>();
  let state: 'opening' | 'open' | 'over' = 'opening';
  const release = () => {
    state = 'over';
    agent.destroy().catch(() => {}); // nothing uses it any more
  };
  const end = (problem: string) => {
    const before = state;
    if (before === 'over') return;
    release();
    // Cut, not closed politely: a peer that has died would keep us waiting.
    line?.destroy();
    if (before === 'open') handlers.onClose(problem);
    else reject(signal?.aborted ? signal.reason : new ComfyUIUnreachableError({ url: target.href, problem }));
  };
  socket.addEventListener('open', () => {
    state = 'open';
    resolve();
  });
  socket.addEventListener('message', ({ data }: { data: unknown }) => {
    if (state !== 'over') receive(data instanceof ArrayBuffer ? new Uint8Array(data) : String(data), handlers);
  });
  socket.addEventListener('error', () => end('the websocket was refused or broke'));
  socket.addEventListener('close', ({ code }) => end(`the websocket was closed (${code})`));
  const onAbort = () => end('cancelled');
  signal?.addEventListener('abort', onAbort, { once: true });
  try {
    await opened;
  } finally {
    signal?.removeEventListener('abort', onAbort);
  }
  // Only a first frame may say this; it makes previews carry the id of their prompt.
  socket.send('{"type":"feature_flags","data":{"supports_preview_metadata":true}}');
  return {
    clientId,
    close() {
      if (state === 'over') return;
      socket.close();
      release();
      line?.destroySoon(); // as soon as the goodbye is written
    },
  };
}

/** An exception here would end the process, so whatever the engine sent must do no more than be missing. */
function receive(frame: string | Uint8Array, handlers: EventHandlers): void {
  try {
    const event = readEvent(frame);
    if (event) handlers.onEvent(event);
    else handlers.onGarbage?.('a message made no sense');
  } catch (error) {
    handlers.onGarbage?.(reportError(error).message);
  }
}

/** Compressing many small events costs both sides more than sending them, on the machine itself at least. */
const withoutCompression: Dispatcher.DispatcherComposeInterceptor = (dispatch) => (options, handler) => {
  const { 'sec-websocket-extensions': _, ...headers } = options.headers as Record<string, string>;
  return dispatch({ ...options, headers }, handler);
};
