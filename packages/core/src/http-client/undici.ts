// Loaded at the first use: it costs a tenth of a second of CPU, and a worker has other things to do while it starts.
let loading: Promise<typeof import('undici')> | undefined;

/** The HTTP and websocket library. */
export const undici = () => {
  loading ??= import('undici');
  return loading;
};
