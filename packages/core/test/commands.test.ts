import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findProgram, lastLines, runCommand } from '@mgpu/core';
import { describe, expect, test } from 'vitest';
import { eventually, isAlive, killAtEnd, readPid, temporaryFolder } from './support.ts';

describe('a helper program', () => {
  test('answers with what it printed and its exit code', async () => {
    const script =
      'process.stdout.write("out"); process.stderr.write(process.env.A + process.cwd()); process.exitCode = 3';
    const cwd = temporaryFolder();
    expect(await runCommand(process.execPath, ['-e', script], { cwd, env: { A: 'a' } })).toEqual({
      ok: false,
      exitCode: 3,
      signal: undefined,
      stdout: 'out',
      stderr: `a${cwd}`,
      timedOut: false,
      spawnError: undefined,
    });
    expect(await runCommand('true', [])).toMatchObject({ ok: true, exitCode: 0 });
  });

  test('that is not there or may not be run is a value, too', async () => {
    expect(await runCommand('/nowhere', [])).toMatchObject({ ok: false, spawnError: 'ENOENT' });
    expect(await runCommand('/etc/passwd', [])).toMatchObject({ ok: false, spawnError: 'EACCES' });
  });

  test('is killed at its deadline', async () => {
    expect(await runCommand('sleep', ['60'], { timeoutMs: 50 })).toMatchObject({
      ok: false,
      timedOut: true,
      signal: 'SIGKILL',
    });
  });

  test('ends with its signal, and its children with it', async () => {
    const file = join(temporaryFolder(), 'pid');
    const controller = new AbortController();
    const script = `sleep 60 & echo $! > ${file}.new; mv ${file}.new ${file}; wait`;
    const result = runCommand('sh', ['-c', script], { signal: controller.signal, timeoutMs: 60_000 });
    const child = killAtEnd(await readPid(file));
    controller.abort();
    expect(await result).toMatchObject({ ok: false, timedOut: false, signal: 'SIGKILL' });
    await eventually(() => !isAlive(child), 'the end of its child');
  });

  test('is abandoned when something that left its group holds its output open', async () => {
    const file = join(temporaryFolder(), 'pid');
    const controller = new AbortController();
    const script = `setsid sh -c 'echo $$ > ${file}.new; mv ${file}.new ${file}; exec sleep 60' & wait`;
    const result = runCommand('sh', ['-c', script], { signal: controller.signal, timeoutMs: 60_000 });
    const escaped = killAtEnd(await readPid(file));
    controller.abort();
    expect(await result).toMatchObject({ ok: false, timedOut: false });
    expect(isAlive(escaped)).toBe(true);
  });
});

describe('finding a program', () => {
  test('takes the first name that is executable, in the order of the path', async () => {
    const dir = temporaryFolder();
    for (const sub of ['one', 'two']) mkdirSync(join(dir, sub));
    writeFileSync(join(dir, 'one', 'tool'), '', { mode: 0o600 });
    writeFileSync(join(dir, 'two', 'tool'), '', { mode: 0o700 });
    mkdirSync(join(dir, 'one', 'folder'));
    const env = { PATH: `${join(dir, 'one')}:${join(dir, 'two')}` };
    expect(await findProgram(['missing', 'tool'], env)).toBe(join(dir, 'two', 'tool'));
    expect(await findProgram([join(dir, 'two', 'tool')], {})).toBe(join(dir, 'two', 'tool'));
    expect(await findProgram(['missing', 'folder'], env)).toBeUndefined();
  });
});

describe('the last lines of a log', () => {
  test('are told without colours and overwritten progress', async () => {
    const file = join(temporaryFolder(), 'log');
    writeFileSync(file, 'old\n 10%\r 90%\r100% \n\u001b[31mred\u001b[0m\n\nend');
    expect(await lastLines(file, { from: 4 })).toEqual(['100%', 'red', 'end']);
    expect(await lastLines(file, { count: 1 })).toEqual(['end']);
  });

  test('are none of a file that is empty, short or missing', async () => {
    const file = join(temporaryFolder(), 'log');
    expect(await lastLines(file)).toEqual([]);
    writeFileSync(file, '');
    expect(await lastLines(file)).toEqual([]);
    expect(await lastLines(file, { from: 100 })).toEqual([]);
  });

  test('are cut where they are very long', async () => {
    const file = join(temporaryFolder(), 'log');
    writeFileSync(file, `short\n${'x'.repeat(50_000)}\n`);
    expect(await lastLines(file)).toEqual(['short', `${'x'.repeat(1_000)}…`]);
  });

  test('are found at once in a large file', async () => {
    const file = join(temporaryFolder(), 'log');
    writeFileSync(file, `${'x'.repeat(99)}\n`.repeat(200_000));
    const lines = await lastLines(file);
    expect(lines).toHaveLength(50);
    expect(lines.at(-1)).toBe('x'.repeat(99));
  });
});
