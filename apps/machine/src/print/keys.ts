const ctrlC = '\u0003';

/** Takes the keys of whoever watches a screen, so that none is shown on it: q ends as Ctrl-C does. Nothing where nobody types. */
export function takeKeys(input: NodeJS.ReadStream): Disposable {
  if (!input.isTTY) return { [Symbol.dispose]() {} };
  const take = (keys: Buffer) => {
    if (keys.includes(ctrlC) || keys.includes('q')) process.kill(process.pid, 'SIGINT');
  };
  input.setRawMode(true);
  input.on('data', take);
  return {
    [Symbol.dispose]() {
      input.off('data', take);
      input.setRawMode(false);
      input.pause();
    },
  };
}
