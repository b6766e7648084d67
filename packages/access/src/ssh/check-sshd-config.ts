import { mkdir } from 'node:fs/promises';
import { runCommand } from '@mgpu/core';
import { SshdConfigError } from '../errors.ts';

export interface SshdCheck {
  readonly instance: string;
  readonly program: string;
  readonly config: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly signal: AbortSignal;
}

/** Has sshd read its configuration before it is started by it. Throws `ACCESS_SSHD_CONFIG`. */
export async function checkSshdConfig({ instance, program, config, env, signal }: SshdCheck): Promise<void> {
  const check = () => runCommand(program, ['-t', '-f', config], { env, signal });
  let { ok, stderr, spawnError } = await check();
  signal.throwIfAborted();
  // An empty folder of root's, compiled into sshd; packages leave it to an init script that containers do not run.
  const missing = /Missing privilege separation directory: (\/\S+)/.exec(stderr)?.[1];
  if (!ok && missing !== undefined) {
    await mkdir(missing, { recursive: true, mode: 0o755 });
    ({ ok, stderr, spawnError } = await check());
  }
  signal.throwIfAborted();
  if (ok) return;
  const complaint =
    stderr
      .trim()
      .split(/\s*\n\s*/)
      .slice(-3)
      .join(' | ') ||
    spawnError ||
    'it gave no reason';
  throw new SshdConfigError({ instance, config, complaint });
}
