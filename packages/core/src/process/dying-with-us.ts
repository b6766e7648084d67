import { findProgram } from './find-program.ts';

/**
 * The command line with which the kernel ends a helper when we end, even when we are killed (setpriv(1), prctl(2)
 * PR_SET_PDEATHSIG). Where there is no `setpriv`, the helper's own.
 */
export async function dyingWithUs(
  file: string,
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Promise<{ readonly program: string; readonly words: string[] }> {
  const setpriv = await findProgram(['setpriv'], env);
  if (setpriv === undefined) return { program: file, words: [...args] };
  return { program: setpriv, words: ['--pdeathsig', 'KILL', '--', file, ...args] };
}
