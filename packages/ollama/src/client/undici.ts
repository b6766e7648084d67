// Loaded at the first use: it costs a tenth of a second of CPU, and a worker has other things to do while it starts.
let loading: Promise<typeof import('undici')> | undefined;

/** The HTTP library. */
export const undici = () => {
  loading ??= import('undici');
  return loading;
};

/** Bytes an answer, or one line of it, may have: embeddings of a long list are the largest. */
export const maxBytes = 256 * 1024 * 1024;
