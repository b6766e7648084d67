// The first screen of large logs: merged, of one, and since an hour ago; mgpu beside multitail, PM2 and tail. The logs are made
// here, with the index that mgpu's daemon would have written, and removed at the end.
// Usage: npm run bench:logs [-- --rounds 7 --logs 8 --megabytes 1000]
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { findProgram } from '@mgpu/core';
import { Readings } from './readings.ts';
import { name as pm2Name, pm2Program } from './supervisors/pm2-program.ts';
import { type Absent, call } from './supervisors/supervisor.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '7' },
    logs: { type: 'string', default: '8' },
    megabytes: { type: 'string', default: '1000' },
  },
});
const rounds = Number(values.rounds);
const count = Number(values.logs);
const bytes = Number(values.megabytes) * 1_000_000;

const hours = 24;
const screenLines = 24;
const wanted = 100;
const limitMs = 60_000;
const cli = new URL('../../apps/machine/bin/mgpu.js', import.meta.url).pathname;

const root = mkdtempSync(join(tmpdir(), 'mgpu-bench-logs-'));
const env = { PATH: process.env.PATH ?? '', HOME: root, TERM: 'xterm', LINES: '50', COLUMNS: '200', SHELL: '/bin/sh' };
const idOf = (index: number) => `comfyui_gpu${index}`;
const fileOf = (index: number) => join(root, idOf(index), 'logs', 'output.log');

/** Lines of 100 bytes, evenly over the last hours, with an entry of the index for each second. */
function makeLog(index: number): void {
  mkdirSync(join(root, idOf(index), 'logs'), { recursive: true });
  const file = openSync(fileOf(index), 'w');
  const perBlock = 100_000;
  for (let line = 0; line * 100 < bytes; line += perBlock) {
    const last = Math.min(line + perBlock, bytes / 100);
    let text = '';
    for (let n = line; n < last; n++)
      text += `INFO: line ${String(n).padStart(12, '0')} of GPU ${index} ${'x'.repeat(66)}\n`;
    writeSync(file, text);
  }
  closeSync(file);
  const seconds = hours * 3_600;
  const begin = Date.now() - seconds * 1_000;
  // Offset and time, as the head of packages/core/src/instance-log/log-times.ts says.
  const entries = Float64Array.from({ length: 2 * (seconds + 1) }, (_, n) => {
    const second = Math.floor(n / 2);
    return n % 2 === 0 ? Math.floor((bytes * second) / seconds) : begin + second * 1_000;
  });
  writeFileSync(`${fileOf(index)}.times`, entries);
}

/** Milliseconds until a command has shown a screen of lines; it is ended then. */
async function firstScreen(
  [file = '', ...args]: readonly string[],
  more: Record<string, string> = {},
): Promise<number> {
  const began = performance.now();
  const child = spawn(file, args, {
    cwd: root,
    env: { ...env, ...more },
    stdio: ['ignore', 'pipe', 'ignore'],
    detached: true,
  });
  const closed = once(child, 'close');
  let tookMs: number | undefined;
  let text = '';
  child.stdout.on('data', (chunk) => {
    text += chunk;
    if (tookMs === undefined && text.split('line 0').length > screenLines) {
      tookMs = performance.now() - began;
      process.kill(-(child.pid ?? 0), 'SIGKILL');
    }
  });
  const timer = setTimeout(() => process.kill(-(child.pid ?? 0), 'SIGKILL'), limitMs);
  await closed;
  clearTimeout(timer);
  if (tookMs === undefined) throw new Error(`${file} ${args.join(' ')} showed no screen: ${text.slice(0, 500)}`);
  return tookMs;
}

interface Contender {
  readonly name: string;
  readonly merged?: readonly string[];
  readonly one?: readonly string[];
  readonly since?: readonly string[];
  readonly env?: Record<string, string>;
  /** What its answer lacks. */
  readonly note?: string;
  end?(): Promise<void>;
}

const every = Array.from({ length: count }, (_, index) => index);

const mgpu: Contender = {
  name: 'mgpu',
  merged: [process.execPath, cli, '--root', root, 'logs', '-n', String(wanted)],
  one: [process.execPath, cli, '--root', root, 'logs', idOf(0), '-n', String(wanted)],
  since: [process.execPath, cli, '--root', root, 'logs', '--since', '1h'],
};

/** As many lines of an empty program: what of mgpu's and PM2's time is the start of Node, on this machine at this time. */
const node: Contender = {
  name: 'Node alone',
  merged: [process.execPath, '-e', 'console.log("line 0\\n".repeat(100))'],
};

const tail: Contender = {
  name: 'tail',
  merged: ['tail', '-q', '-n', String(Math.ceil(wanted / count)), ...every.map(fileOf)],
  one: ['tail', '-n', String(wanted), fileOf(0)],
  note: 'tail: merged is one log after the other, without names',
};

/** All into one window, as the base machine had it; on a terminal, which it cannot do without. */
async function multitail(): Promise<Contender | Absent> {
  const name = 'multitail';
  const program = await findProgram([name], process.env);
  if (program === undefined) return { name, why: 'is not installed' };
  const onTerminal = (files: readonly string[]) => {
    const [first = '', ...others] = files;
    const words = [program, '-n', String(wanted), first, ...others.flatMap((file) => ['-I', file])];
    return ['script', '--quiet', '--return', '--command', `exec ${words.join(' ')}`, '/dev/null'];
  };
  return { name, merged: onTerminal(every.map(fileOf)), one: onTerminal([fileOf(0)]) };
}

/** Its daemon runs programs that print nothing, whose logs are ours. */
async function pm2(): Promise<Contender | Absent> {
  const program = await pm2Program();
  if (typeof program !== 'string') return program;
  const more = { PM2_HOME: join(root, 'pm2'), PM2_DISABLE_VERSION_CHECK: 'true' };
  const apps = every.map((index) => ({
    name: idOf(index),
    script: '/bin/sleep',
    args: ['100000'],
    interpreter: 'none',
    vizion: false,
    pmx: false,
    merge_logs: true,
    out_file: fileOf(index),
    error_file: '/dev/null',
  }));
  writeFileSync(join(root, 'ecosystem.config.json'), JSON.stringify({ apps }));
  const whose = { folder: root, env: { ...env, ...more } };
  await call([process.execPath, program, 'start', join(root, 'ecosystem.config.json')], whose);
  const logs = (...args: string[]) => [
    process.execPath,
    program,
    'logs',
    ...args,
    '--lines',
    String(wanted),
    '--nostream',
  ];
  return {
    name: pm2Name,
    merged: logs(),
    one: logs(idOf(0)),
    env: more,
    note: `${pm2Name}: ${wanted} lines of each log, one log after the other`,
    end: () => call([process.execPath, program, 'kill'], whose),
  };
}

const present: Contender[] = [];
try {
  for (const index of every) {
    process.stderr.write(`making log ${index + 1} of ${count}\n`);
    makeLog(index);
  }
  const found = [mgpu, node, tail, await multitail(), await pm2()];
  const missing = found.filter((each): each is Absent => 'why' in each);
  present.push(...found.filter((each): each is Contender => !('why' in each)));
  const readings = new Readings('mgpu', missing);
  for (let round = 0; round < rounds; round++) {
    process.stderr.write(`round ${round + 1} of ${rounds}\n`);
    const order = present.map((_, index) => present[(index + round) % present.length] as Contender);
    for (const { name, merged, one, since, env: more } of order) {
      if (merged) readings.add(`${count} logs as one, ms`, name, await firstScreen(merged, more));
      if (one) readings.add('one log, ms', name, await firstScreen(one, more));
      if (since) readings.add(`${count} logs since an hour ago, ms`, name, await firstScreen(since, more));
    }
  }
  console.log(
    `first screen (${screenLines} lines) of ${count} logs of ${bytes / 1e6} MB each, ${rounds} rounds, ${availableParallelism()} cores; median (min to max) and ratio of medians to mgpu's`,
  );
  readings.print();
  for (const { note } of present) if (note) console.log(note);
  console.log('Since a time: none of the others knows when a line was written.');
} finally {
  for (const { end } of present) await end?.();
  rmSync(root, { recursive: true, force: true });
}
