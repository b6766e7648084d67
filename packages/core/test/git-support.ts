import { execFileSync } from 'node:child_process';

/** Git as on a machine where nobody has set up anything. */
export const gitEnv: Readonly<Record<string, string | undefined>> = {
  PATH: process.env.PATH,
  HOME: '/nonexistent',
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_CONFIG_NOSYSTEM: '1',
};

/** What it prints, trimmed. */
export function runGitIn(dir: string, ...args: string[]): string {
  const identity = ['-c', 'user.name=test', '-c', 'user.email=test@localhost', '-c', 'protocol.file.allow=always'];
  return execFileSync('git', [...identity, ...args], { cwd: dir, env: gitEnv as NodeJS.ProcessEnv, stdio: 'pipe' })
    .toString()
    .trim();
}
