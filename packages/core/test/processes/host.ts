import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { onTestFinished } from 'vitest';
import { fixture, killAtEnd } from '../support.ts';

/** A program of somebody else that starts a service, and what it says about it. */
export async function host(...args: string[]) {
  const { file, args: script } = fixture('host.mjs', ...args);
  const child = spawn(file, script, { stdio: ['ignore', 'pipe', 'pipe'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  const exited = new Promise<{ code: number | null; signal: string | null }>((resolve) => {
    child.once('exit', (code, signal) => resolve({ code, signal }));
  });
  const line = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout }).once('line', resolve);
    text(child.stderr).then((said) => reject(new Error(`the host ended: ${said}`)), reject);
  });
  const { pid, log, root } = JSON.parse(line) as { pid: number; log: string; root: string };
  return { child, exited, pid: pid ? killAtEnd(pid) : 0, log, root };
}
