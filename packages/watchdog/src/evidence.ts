import { readFileSync } from 'node:fs';
import { lastLines, readProcess, type SupervisedInstance } from '@mgpu/core';

/** What can be seen of an instance before it is ended. */
export async function evidenceOf({ logFile, status }: SupervisedInstance): Promise<{
  readonly evidence: readonly string[];
  readonly lastLines: readonly string[];
}> {
  // A log that cannot be read must not keep us from acting.
  const lines = logFile === undefined ? [] : await lastLines(logFile, { count: 20 }).catch(() => []);
  return { evidence: status.pid === undefined ? [] : [processState(status.pid)], lastLines: lines };
}

const states: Readonly<Record<string, string>> = {
  R: 'running',
  S: 'sleeping',
  D: 'hanging in the kernel',
  T: 'stopped by a signal',
  t: 'stopped by a debugger',
  Z: 'a zombie',
};

function processState(pid: number): string {
  const facts = readProcess(pid);
  if (!facts) return `process ${pid} is gone`;
  const waits = waitChannel(pid);
  return `process ${pid} is ${states[facts.state] ?? facts.state}${waits ? `, it waits in ${waits}` : ''}`;
}

function waitChannel(pid: number): string | undefined {
  try {
    const name = readFileSync(`/proc/${pid}/wchan`, 'utf8').trim();
    return name === '0' || name === '' ? undefined : name;
  } catch {
    return undefined; // gone meanwhile, or not for us
  }
}
