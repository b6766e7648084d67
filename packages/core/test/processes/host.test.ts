import { existsSync, readFileSync, rmSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { standaloneContext } from '@mgpu/core';
import { describe, expect, onTestFinished, test } from 'vitest';
import { eventually, failureOf, fixture, isAlive, Program, temporaryFolder, whenUp } from '../support.ts';
import { host } from './host.ts';

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

  test('leaves no folder behind when the script is ended before there is a process', async () => {
    const { child, exited, root } = await host('temporary', 'mortal', 'prepare');
    expect(existsSync(root)).toBe(true);
    child.kill('SIGINT');
    expect(await exited).toEqual({ code: null, signal: 'SIGINT' });
    expect(existsSync(root)).toBe(false);
  });

  test('is not taken away by another script on the same folder', async () => {
    const root = temporaryFolder();
    const first = await host(root, 'mortal', 'stay');
    await expect(host(root, 'mortal', 'stop')).rejects.toThrow(
      new RegExp(`process ${first.child.pid} \\(.*host\\.mjs.*\\) already runs it`),
    );
    expect(isAlive(first.pid)).toBe(true);
    first.child.kill('SIGTERM');
    await first.exited;
    const next = await host(root, 'mortal', 'stop');
    expect(await next.exited).toEqual({ code: 0, signal: null });
  });

  test('keeps its log in the temporary folder when it failed', async () => {
    const context = standaloneContext({ kind: 'program' });
    onTestFinished(() => rmSync(context.layout.root, { recursive: true, force: true }));
    const service = new Program({ spec: fixture('exits.mjs', 3, 'why'), probes: whenUp }, context);
    await failureOf(service.start());
    await service.stop();
    expect(readFileSync(service.logFile, 'utf8')).toContain('why');
  });

  test('keeps no temporary folder without a word in it', async () => {
    const context = standaloneContext({ kind: 'program' });
    const service = new Program({ spec: { file: '/nowhere/to/be/found' } }, context);
    expect(await failureOf(service.start())).toMatchObject({ code: 'CORE_PROCESS_SPAWN' });
    expect(existsSync(context.layout.root)).toBe(false);
  });
});
