import { spawn } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, expect, onTestFinished, test } from 'vitest';
import { eventually, fixture, isAlive, killAtEnd, temporaryFolder } from '../support.ts';

/** A program of somebody else that starts a service, and what it says about it. */
async function host(...args: string[]) {
  const { file, args: script } = fixture('host.mjs', ...args);
  const child = spawn(file, script, { stdio: ['ignore', 'pipe', 'ignore'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  const exited = new Promise<{ code: number | null; signal: string | null }>((resolve) => {
    child.once('exit', (code, signal) => resolve({ code, signal }));
  });
  const line = await new Promise<string>((resolve) => createInterface({ input: child.stdout }).once('line', resolve));
  const { pid, log } = JSON.parse(line) as { pid: number; log: string };
  return { child, exited, pid: killAtEnd(pid), log };
}

describe('a service that survives', () => {
  test('goes on writing its log after the program that started it was killed', async () => {
    const { child, exited, pid, log } = await host(temporaryFolder(), 'survive', 'stay');
    child.kill('SIGKILL');
    await exited;
    const { size } = statSync(log);
    await eventually(() => statSync(log).size > size + 20, 'more output');
    expect(isAlive(pid)).toBe(true);
    expect(readFileSync(log, 'utf8')).toMatch(/^n=1\nn=2\nn=3\n/);
  });

  test('stays when the program ends in peace', async () => {
    const { exited, pid } = await host(temporaryFolder(), 'survive', 'exit');
    await exited;
    expect(isAlive(pid)).toBe(true);
  });

  test('is ended by the next life of its instance before that starts', async () => {
    const root = temporaryFolder();
    const first = await host(root, 'survive', 'exit');
    await first.exited;
    const second = await host(root, 'survive', 'stop');
    expect(isAlive(first.pid)).toBe(false);
    expect(await second.exited).toEqual({ code: 0, signal: null });
    expect(isAlive(second.pid)).toBe(false);
  });
});

describe('a service of a script', () => {
  test.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)('is taken along by %s', async (signal) => {
    const { child, exited, pid } = await host('temporary', 'mortal', 'stay');
    child.kill(signal);
    expect(await exited).toEqual({ code: null, signal });
    await eventually(() => !isAlive(pid), 'its end');
  });

  test('is taken along when the script ends, with its temporary folder', async () => {
    const { exited, pid, log } = await host('temporary', 'mortal', 'exit');
    expect(await exited).toEqual({ code: 0, signal: null });
    await eventually(() => !isAlive(pid), 'its end');
    expect(existsSync(dirname(dirname(dirname(log))))).toBe(false);
  });

  test('is taken along when the script throws', async () => {
    const { exited, pid } = await host('temporary', 'mortal', 'throw');
    expect(await exited).toEqual({ code: 1, signal: null });
    await eventually(() => !isAlive(pid), 'its end');
  });

  test('leaves nothing in the way of the end of the script once it is stopped', async () => {
    const { exited, log } = await host('temporary', 'mortal', 'stop');
    expect(await exited).toEqual({ code: 0, signal: null });
    expect(existsSync(log)).toBe(false);
  });
});
