import { runCommand } from '@mgpu/core';
import { nginxArguments } from './command-line.ts';
import { ConfigRejectedError } from './errors.ts';

const timeoutMs = 10_000;

/** Lets nginx read a configuration without using it. Throws `NGINX_CONFIG_REJECTED` with its own words. */
export async function checkConfig(
  instance: string,
  program: string,
  config: string,
  options: { folder: string; env: Readonly<Record<string, string | undefined>>; signal?: AbortSignal | undefined },
): Promise<void> {
  const { folder, env, signal } = options;
  const result = await runCommand(program, ['-t', '-q', ...nginxArguments(config, folder)], { timeoutMs, env, signal });
  signal?.throwIfAborted();
  if (result.ok) return;
  const complaint = result.timedOut
    ? `it was not read within ${timeoutMs} ms`
    : (result.spawnError ?? (complaintsIn(result.stderr) || `exit code ${result.exitCode}`));
  throw new ConfigRejectedError({ instance, complaint, config });
}

/** nginx's complaints without level and time, the last word ("test failed") left out. */
function complaintsIn(stderr: string): string {
  return stderr
    .split('\n')
    .filter((line) => !/\btest failed$|^\s*$/.test(line))
    .map((line) => line.replace(/^(?:nginx: |[\d/]+ [\d:]+ )\[\w+\] (?:\d+#\d+: )?/, ''))
    .join('; ');
}
