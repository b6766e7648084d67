import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findProgram, followCommand, lastLines, listProcesses, runCommand, streamCommand } from '@mgpu/core';
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

describe('a helper that may take long', () => {
  const env = process.env;

  test('tells its lines and its messages, and answers with the end of what it printed', async () => {
    const script =
      'process.send({ a: 1 }, () => process.disconnect()); console.log("x".repeat(20)); console.error("b")';
    const lines: string[] = [];
    const messages: unknown[] = [];
    const result = await streamCommand(process.execPath, ['-e', script], {
      env,
      keptChars: 10,
      onLine: (line) => lines.push(line),
      onMessage: (message) => messages.push(message),
    });
    expect(result).toMatchObject({ ok: true, stdout: `${'x'.repeat(9)}\n` });
    expect(lines.toSorted()).toEqual(['b', 'x'.repeat(20)]);
    expect(messages).toEqual([{ a: 1 }]);
    const deaf = await streamCommand(process.execPath, ['-p', 'typeof process.send'], { env });
    expect(deaf.stdout).toBe('undefined\n');
  });

  test('can be asked to end before it is killed', async () => {
    const interrupt = new AbortController();
    const result = await streamCommand(
      'sh',
      ['-c', 'trap "echo bye; exit 3" INT; echo up; while :; do sleep 0.01; done'],
      {
        env,
        interrupt: interrupt.signal,
        onLine: () => interrupt.abort(),
      },
    );
    expect(result).toMatchObject({ ok: false, stdout: 'up\nbye\n', problem: 'it was called off' });
  });

  test('is killed with what it has started, also in other sessions', async () => {
    const file = join(temporaryFolder(), 'pid');
    const signal = new AbortController();
    const script = `trap "" INT TERM; setsid sh -c 'echo $$ > ${file}.new; mv ${file}.new ${file}; exec sleep 60' & wait`;
    const result = streamCommand('sh', ['-c', script], { env, signal: signal.signal });
    const child = killAtEnd(await readPid(file));
    signal.abort();
    expect(await result).toMatchObject({ ok: false });
    await eventually(() => !isAlive(child), 'the end of its child');
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

describe('a helper that goes on', () => {
  const env = process.env;
  const never = new AbortController().signal;

  /** All its lines, and how it ended. */
  async function followed(script: string, signal = never): Promise<{ lines: string[]; end: string }> {
    const following = followCommand('sh', ['-c', script], { env, signal });
    const lines: string[] = [];
    for (;;) {
      const next = await following.next();
      if (next.done) return { lines, end: next.value };
      lines.push(next.value);
    }
  }

  test('gives its lines one by one, the unfinished last one included, and how it ended', async () => {
    expect(await followed('printf "one\\n\\ntw"; sleep 0.05; printf "o\\nthree"; exit 3')).toEqual({
      lines: ['one', '', 'two', 'three'],
      end: 'ended with 3',
    });
    expect(await followed('echo "not permitted" >&2; exit 1')).toEqual({ lines: [], end: 'not permitted' });
  });

  test('that is not there just ends', async () => {
    const following = followCommand('/nowhere/dmesg', [], { env, signal: never });
    expect(await following.next()).toMatchObject({
      done: true,
      value: expect.stringMatching(/nowhere|ENOENT|setpriv/),
    });
  });

  test('is not started at all once its signal has fired, and kills nobody', async () => {
    const following = followCommand('/nowhere/dmesg', [], { env: { PATH: '/nowhere' }, signal: AbortSignal.abort() });
    expect(await following.next()).toEqual({ done: true, value: 'it was called off' });
  });

  test('gives a line without end in pieces', async () => {
    const { lines } = await followed('head -c 100000 /dev/zero | tr "\\0" x');
    expect(lines.join('')).toHaveLength(100_000);
    expect(Math.max(...lines.map(({ length }) => length))).toBe(16_384);
  });

  test('ends with the signal, and when nobody listens any more', async () => {
    const file = join(temporaryFolder(), 'pid');
    const script = `echo $$ > ${file}.new; mv ${file}.new ${file}; echo up; exec sleep 60`;
    const stop = new AbortController();
    const all = followed(script, stop.signal);
    const pid = await readPid(file);
    stop.abort();
    expect((await all).lines.length).toBeLessThan(2);
    await eventually(() => !isAlive(pid), 'its end');

    for await (const line of followCommand('sh', ['-c', 'echo $$; exec sleep 60'], { env, signal: never })) {
      expect(isAlive(Number(line))).toBe(true);
      writeFileSync(file, line);
      break;
    }
    const second = await readPid(file);
    await eventually(() => !isAlive(second), 'its end');
  });

  test('ends with us, even when we are killed', async () => {
    if (!(await findProgram(['setpriv'], env))) return;
    const file = join(temporaryFolder(), 'log');
    writeFileSync(file, '');
    const us = spawn(process.execPath, [join(import.meta.dirname, 'fixtures/follows.mjs'), file], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    appendFileSync(file, 'up\n');
    await once(us.stdout, 'data');
    const helper = listProcesses().find(({ parent }) => parent === us.pid);
    us.kill('SIGKILL');
    await once(us, 'exit');
    expect(helper).toBeDefined();
    await eventually(() => !isAlive(helper?.pid ?? 0), 'its end');
  });
});
