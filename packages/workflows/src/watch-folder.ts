import { watch } from 'chokidar';

/**
 * Calls back after changes of files below a folder; Git's own are none. A hint and no proof: where the system cannot watch, it
 * says so once and stays silent. Resolves when it sees what happens; the function it resolves with ends it.
 */
export async function watchFolder(
  dir: string,
  onChange: () => void,
  onProblem: (error: unknown) => void,
): Promise<() => Promise<void>> {
  const watcher = watch(dir, { ignoreInitial: true, followSymlinks: false, ignored: /(^|[/\\])\.git([/\\]|$)/ });
  const ready = new Promise<void>((resolve) => {
    watcher.on('ready', resolve).on('error', (error) => {
      onProblem(error);
      resolve();
    });
  });
  watcher.on('all', () => onChange());
  await ready;
  return () => watcher.close();
}
