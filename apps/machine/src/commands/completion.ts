import { readFile } from 'node:fs/promises';
import { type CommandContext, type ExitCode, exitCodes } from './command.ts';

/** Shells that can be completed in. */
export type Shell = 'bash' | 'zsh' | 'fish';

/**
 * Prints what a shell reads to complete our commands. Each of these files asks `mgpu complete -- <word>…` what the last word can
 * become, and evaluates nothing of what is typed.
 */
export async function completion({ output }: CommandContext, shell: Shell): Promise<ExitCode> {
  const script = await readFile(new URL(`../completion/mgpu.${shell}`, import.meta.url), 'utf8');
  output.data('Completion', { shell, script });
  output.line(script.trimEnd());
  return exitCodes.done;
}
