import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, mkdirSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { type Box, isAlive, openBox, statusOf } from './support.ts';

const cli = join(import.meta.dirname, '../bin/mgpu.js');
const hasTerminal = spawnSync('script', ['--version']).status === 0;

const logOf = ({ root }: Box, instance: string) => join(root, instance, 'logs', 'output.log');

/** What an instance has printed, the last of it so many minutes ago. */
function print(box: Box, instance: string, text: string, minutesAgo = 0): void {
  const file = logOf(box, instance);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
  const then = new Date(Date.now() - minutesAgo * 60_000);
  utimesSync(file, then, then);
}

const lines = (text: string) => text.split('\n').slice(0, -1);

const records = (text: string) => lines(text).map((line): Record<string, unknown> => JSON.parse(line));

describe('logs without a daemon', () => {
  test('are one stream in the order of time, each line with its instance, fit for a terminal', async () => {
    await using box = await openBox();
    expect(await box.mgpu(['logs'])).toMatchObject({
      code: 0,
      stdout: '',
      stderr: expect.stringContaining('nothing has printed anything'),
    });
    print(box, 'worker_gpu0', 'info: a job\n', 20);
    print(box, 'comfyui_gpu0', `\u001B[32mgot prompt\u001B[0m\nclear\u001B[2J it\n${'long '.repeat(50)}\n 45%`, 10);
    print(box, 'comfyui_gpu1', 'got prompt\n', 30);
    print(box, 'nginx', 'one of it\n');
    const { code, stdout, stderr } = await box.mgpu(['logs', 'all']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(lines(stdout)).toEqual([
      'comfyui_gpu1 | got prompt',
      'worker_gpu0  | info: a job',
      'comfyui_gpu0 | got prompt',
      'comfyui_gpu0 | clear it',
      `comfyui_gpu0 | ${'long '.repeat(50)}`,
      'comfyui_gpu0 |  45%',
      'nginx        | one of it',
    ]);
  });

  test('are those of a service, an instance or a GPU; a name alone has its lines alone', async () => {
    await using box = await openBox();
    for (const id of ['comfyui_gpu0', 'comfyui_gpu1', 'worker_gpu1']) print(box, id, `of ${id}\n`);
    const shown = async (...args: string[]) => lines((await box.mgpu(['logs', ...args])).stdout);
    expect(await shown('comfyui')).toEqual(['comfyui_gpu0 | of comfyui_gpu0', 'comfyui_gpu1 | of comfyui_gpu1']);
    expect(await shown('gpu:1')).toEqual(['comfyui_gpu1 | of comfyui_gpu1', 'worker_gpu1  | of worker_gpu1']);
    expect(await shown('worker_gpu1', 'comfyui_gpu0')).toHaveLength(2);
    expect(await shown('worker_gpu1')).toEqual(['of worker_gpu1']);
    const byService = await Promise.all([
      box.mgpu(['comfyui', 'logs', '1', '-n']),
      box.mgpu(['comfyui', 'logs', 'all', '-n']),
      box.mgpu(['worker', 'logs']),
    ]);
    expect(byService.map(({ stdout }) => lines(stdout).length)).toEqual([1, 2, 1]);
    for (const [args, said] of [
      [['logs', 'gpu:7'], 'it has 2: 0 to 1'],
      [['logs', 'comfy'], 'did you mean "comfyui"'],
      [['comfyui', 'logs', '7'], 'it has 2: 0 to 1'],
      [['logs', '--since', 'once'], '--since is "once"'],
      [['logs', '--grep', '('], '--grep'],
      [['logs', '-n', '-1'], 'number of lines'],
      [['logs', '-f', '--until', '1m'], '--until'],
    ] as const) {
      const { code, stderr } = await box.mgpu(args);
      expect({ code, stderr }, args.join(' ')).toEqual({ code: 2, stderr: expect.stringContaining(said) });
    }
  });

  test('are filtered by number, time, text and level, archives included', async () => {
    await using box = await openBox();
    print(box, 'nginx', 'INFO: in the file\nERROR: last\n', 5);
    const archived = `WARNING: archived\n${'INFO: x\n'.repeat(1_000)}`;
    writeFileSync(`${logOf(box, 'nginx')}.0-${archived.length}.gz`, gzipSync(archived));
    writeFileSync(`${logOf(box, 'nginx')}.journal`, JSON.stringify({ v: 1, base: archived.length, gaps: [] }));
    print(box, 'redis', 'ERROR: first\n  and more of it\n', 60);
    const shown = async (...args: string[]) => lines((await box.mgpu(['logs', ...args])).stdout);
    expect(await shown()).toHaveLength(100);
    expect(await shown('-n', 'all')).toHaveLength(1_005);
    expect(await shown('-n', '2')).toEqual(['nginx | INFO: in the file', 'nginx | ERROR: last']);
    expect(await shown('--level', 'warn')).toEqual([
      'redis | ERROR: first',
      'redis |   and more of it',
      'nginx | WARNING: archived',
      'nginx | ERROR: last',
    ]);
    expect(await shown('--grep', 'archived|first', '-n', '1')).toEqual(['nginx | WARNING: archived']);
    expect(await shown('--grep', 'error')).toHaveLength(2);
    expect(await shown('--grep', 'Error')).toEqual([]);
    expect(await shown('--since', '10m', '--grep', 'ERROR')).toEqual(['nginx | ERROR: last']);
    const asked = records((await box.mgpu(['logs', '--json', '-n', '1'])).stdout);
    expect(asked).toEqual([
      {
        v: 1,
        time: expect.stringMatching(/^\d{4}-.*Z$/),
        earliest: null,
        instance: 'nginx',
        level: 'error',
        text: 'ERROR: last',
        offset: archived.length + 18,
        end: archived.length + 30,
      },
    ]);
  });

  test('end well when nobody reads on', async () => {
    await using box = await openBox();
    print(box, 'nginx', 'a line of a log that is long\n'.repeat(500_000));
    const command = 'set -o pipefail; "$0" "$@" | head -n 1';
    const args = ['-c', command, process.execPath, cli, '--root', box.root, 'logs', '-n', 'all'];
    // What runs under CI is no terminal for that.
    const env = { ...process.env, CI: 'true' };
    const { status, stdout, stderr } = spawnSync('bash', args, { encoding: 'utf8', env });
    expect({ status, stdout, stderr }).toEqual({
      status: 0,
      stdout: 'nginx | a line of a log that is long\n',
      stderr: '',
    });
  });

  test('that are followed have what comes, those of new instances, too, until Ctrl-C', async () => {
    await using box = await openBox();
    print(box, 'nginx', 'before\n');
    const following = box.start(['logs', '-f']);
    await following.printed(/nginx \| before\n/);
    appendFileSync(logOf(box, 'nginx'), 'after\n 10%');
    await following.printed(/nginx \| after\n/);
    appendFileSync(logOf(box, 'nginx'), '\r 20%\n');
    print(box, 'redis', 'new\n');
    await following.printed(/redis \| new\n/);
    following.kill('SIGINT');
    const { code, stdout } = await following.ended;
    expect({ code, lines: lines(stdout) }).toEqual({
      code: 0,
      lines: ['nginx | before', 'nginx | after', 'nginx |  20%', 'redis | new'],
    });
  });

  test.skipIf(!hasTerminal)(
    'on a terminal are followed, in colours, with progress on a line that changes',
    async () => {
      await using box = await openBox();
      print(box, 'nginx', '\u001B[2Jready\n  0%');
      const command = `exec ${process.execPath} ${cli} --root ${box.root} logs`;
      const terminal = spawn('script', ['-qec', command, '/dev/null'], {
        env: { PATH: process.env.PATH ?? '', TERM: 'xterm', SHELL: '/bin/sh' },
      });
      let screen = '';
      const shown = async (part: string) => {
        while (!screen.includes(part)) screen += String((await once(terminal.stdout, 'data'))[0]);
      };
      await shown('  0%');
      appendFileSync(logOf(box, 'nginx'), '\r 50%');
      await shown(' 50%');
      appendFileSync(logOf(box, 'nginx'), '\r100%\ndone\n');
      await shown('done');
      terminal.stdin.write('\u0003');
      expect((await once(terminal, 'close'))[0]).toBe(0);
      const plain = screen.replaceAll('\u001B', '␛').replaceAll('\r\n', '\n').replaceAll('\r', '␍');
      const head = '␛[36mnginx␛[39m ␛[2m|␛[22m ';
      const erased = '␍␛[J';
      const [first = '', ...later] = plain.slice(plain.indexOf(head)).split(erased);
      expect(first).toBe(`${head}ready\n${head}  0%`);
      expect(later.join('')).toBe(`${head} 50%${head}100%\n${head}done\n`);
    },
  );
});

test('logs are followed through restarts of an instance and of the daemon: no line is lost, none comes twice', async () => {
  await using box = await openBox(() => ({ worker: { enabled: false }, nginx: { enabled: false } }));
  await box.mgpu(['up', '--mock', '1', '--detach']);
  const following = box.start(['logs', 'comfyui', 'daemon', '-f', '-n', 'all', '--json']);
  expect((await box.mgpu(['restart', 'comfyui_gpu0'])).code).toBe(0);
  const { daemon } = await statusOf(box);
  process.kill(daemon.pid, 'SIGKILL');
  await expect.poll(() => isAlive(daemon.pid)).toBe(false);
  expect((await box.mgpu(['up', '--mock', '1', '--detach'])).code).toBe(0);
  appendFileSync(logOf(box, 'comfyui_gpu0'), 'the end\n');
  await following.printed(/"the end"/);
  following.kill('SIGINT');
  const { code, stdout } = await following.ended;
  expect(code).toBe(0);
  const all = records(stdout);
  const engine = all.filter(({ instance }) => instance === 'comfyui_gpu0');
  expect(engine.filter(({ text }) => /to see the gui/i.test(String(text)))).toHaveLength(2);
  for (const [index, { offset }] of engine.entries()) expect(offset).toBe(engine[index - 1]?.end ?? 0);
  expect(engine.some(({ lost }) => lost !== undefined)).toBe(false);
  const ofDaemon = all.filter(({ instance }) => instance === 'daemon').map(({ text }) => String(text));
  expect(ofDaemon).toHaveLength(new Set(ofDaemon).size);
  const again = records((await box.mgpu(['logs', 'comfyui_gpu0', '-n', 'all', '--json'])).stdout);
  expect(again.map(({ offset }) => offset)).toEqual(engine.map(({ offset }) => offset));
});

test('of an instance that has printed nothing that is said', async () => {
  await using box = await openBox();
  await box.mgpu(['up', '--mock', '1', '--detach']);
  const { code, stdout, stderr } = await box.mgpu(['logs', 'watchdog']);
  expect({ code, stdout, stderr }).toEqual({
    code: 0,
    stdout: '',
    stderr: expect.stringContaining('mgpu logs daemon'),
  });
  expect(await box.mgpu(['logs', 'gpu:1'])).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('it has one: 0'),
  });
});
