import { findProgram, type MgpuError, runCommand } from '@mgpu/core';
import { HostKeyError, HostUnreachableError, LoginRefusedError } from '../errors.ts';

const patienceMs = 30_000;

/** What keeps us from logging in at a Git host with this configuration of ssh; undefined when nothing does. */
export async function logIn(
  destination: string,
  sshConfig: string,
  { env, signal }: { env: Readonly<Record<string, string | undefined>>; signal?: AbortSignal | undefined },
): Promise<MgpuError | undefined> {
  const host = destination;
  const program = await findProgram(['ssh'], env);
  if (program === undefined)
    return new HostUnreachableError({ host, problem: 'ssh is not installed (openssh-client)' });
  const args = ['-F', sshConfig, '-T', '-oConnectTimeout=10', '--', destination];
  const { exitCode, stderr, timedOut } = await runCommand(program, args, { env, signal, timeoutMs: patienceMs });
  signal?.throwIfAborted();
  // Git hosts greet and end with a status of their own; 255 alone means that ssh did not get there (ssh(1)).
  if (exitCode !== undefined && exitCode !== 255) return undefined;
  const problem = timedOut ? `no answer within ${patienceMs / 1_000} s` : lastWords(stderr);
  if (/host key verification failed|no .* host key is known/i.test(stderr)) return new HostKeyError({ host, problem });
  if (/permission denied|too many authentication failures/i.test(stderr))
    return new LoginRefusedError({ host, problem });
  return new HostUnreachableError({ host, problem });
}

function lastWords(stderr: string): string {
  const lines = stderr.split(/[\r\n]+/).map((line) => line.trim());
  return lines.filter(Boolean).slice(-2).join(' | ').slice(0, 300) || 'ssh gave no reason';
}
