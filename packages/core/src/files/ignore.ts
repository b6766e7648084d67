/** For `catch`: these codes of the system are what is asked about, not failures; anything else is thrown on. */
export const ignore =
  (...codes: readonly string[]) =>
  (error: NodeJS.ErrnoException): undefined => {
    if (!codes.includes(error.code ?? '')) throw error;
  };

/** For `catch`: a file or folder that need not be there, nor the folders above it. */
export const ignoreMissing = ignore('ENOENT', 'ENOTDIR');
