import { commandLineOf, listProcesses, type ProcessFacts, readProcess } from '@mgpu/core';

/** Its name in the process table, whatever the version: `sshd: root [priv]`, `sshd-session: root@pts/0`. */
const title = /^sshd(-\w+)?: /;

/**
 * The processes of an sshd that carry the connections of those who are logged in. They have sessions of their own and write
 * their title over their environment: only while the server lives its children show whose they are.
 */
export function sessionsOf(server: number): readonly ProcessFacts[] {
  const all = listProcesses();
  const below = (parent: number): ProcessFacts[] =>
    all
      .filter((each) => each.parent === parent && title.test(commandLineOf(each.pid) ?? ''))
      .flatMap((each) => [each, ...below(each.pid)]);
  return below(server);
}

/** Hangs up. What somebody left running in the background goes on. */
export function endSessions(sessions: readonly ProcessFacts[]): void {
  for (const { pid, startTime } of sessions) {
    if (readProcess(pid)?.startTime !== startTime) continue;
    try {
      process.kill(pid, 'SIGTERM');
    } catch {
      // it ended in between
    }
  }
}
