import { appendFileSync, mkdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  type Clock,
  createDaemonLog,
  type NamedLine,
  type NamedLog,
  type ReadLogsOptions,
  readLogs,
  systemClock,
} from '@mgpu/core';
import { describe, expect, onTestFinished, test } from 'vitest';
import { eventually, temporaryFolder } from '../support.ts';
import { archivesOf, canCollapse, keeperAt, kept, numberOf, type Place, place, writerOf } from './support.ts';

const second = 1_000;
const start = Date.UTC(2026, 0, 1);

/** Instances on one root. */
function places(...names: string[]): [Place, ...Place[]] {
  const root = temporaryFolder();
  return names.map((name) => place(root, name)) as [Place, ...Place[]];
}

const named = (each: Place): NamedLog => ({ name: each.file.split('/').at(-3) ?? '', file: each.file });

async function merged(logs: readonly NamedLog[], options: ReadLogsOptions = {}): Promise<NamedLine[]> {
  const lines: NamedLine[] = [];
  for await (const some of readLogs(logs, options)) lines.push(...some);
  return lines;
}

const told = (lines: readonly NamedLine[]) => lines.map(({ instance, text }) => `${instance}: ${text}`);

/** Lines as they come, until the test ends. */
function follow(logs: readonly NamedLog[], options: ReadLogsOptions = {}): NamedLine[] {
  const lines: NamedLine[] = [];
  const end = new AbortController();
  const reading = (async () => {
    for await (const some of readLogs(logs, { ...options, follow: true, signal: end.signal })) lines.push(...some);
  })();
  onTestFinished(async () => {
    end.abort();
    await reading;
  });
  return lines;
}

describe('many logs as one', () => {
  test('are in the order of time; at the same time in the order they are named', async () => {
    const [a, b] = places('a', 'b') as [Place, Place];
    const [ofA, ofB] = [await keeperAt(a, start), await keeperAt(b, start)];
    await ofA.append(start + second, 'a at 1\na at 1, too\n');
    await ofB.append(start + second, 'b at 1\n');
    await ofB.append(start + 2 * second, 'b at 2\n');
    await ofA.append(start + 3 * second, 'a at 3\n');
    await ofB.append(start + 3 * second, 'b at 3, open');
    for (const each of [ofA, ofB]) await each.close(start + 4 * second);
    const all = ['a: a at 1', 'a: a at 1, too', 'b: b at 1', 'b: b at 2', 'a: a at 3', 'b: b at 3, open'];
    const logs = [named(a), named(b)];
    expect(told(await merged(logs))).toEqual(all);
    expect(told(await merged(logs, { last: 3 }))).toEqual(all.slice(-3));
    expect(told(await merged(logs, { last: 0 }))).toEqual([]);
    expect(told(await merged(logs, { since: start + 2 * second }))).toEqual(all.slice(3));
    expect(told(await merged(logs, { until: start + 2 * second }))).toEqual(all.slice(0, 4));
    expect(told(await merged(logs, { since: start + second, until: start + 2 * second, last: 2 }))).toEqual([
      all[2],
      all[3],
    ]);
    expect(await merged(logs, { last: 1 })).toMatchObject([{ isPartial: true, offset: 14, time: start + 3 * second }]);
  });

  test('of a log that goes on from an offset only what follows', async () => {
    const [a, b] = places('a', 'b') as [Place, Place];
    writeFileSync(a.file, 'one\ntwo\n');
    writeFileSync(b.file, 'one\n');
    expect(told(await merged([{ ...named(a), from: 4 } as NamedLog, named(b)]))).toEqual(['a: two', 'b: one']);
  });

  test('hold one batch of each, whatever their size', async () => {
    const [a, b] = places('a', 'b') as [Place, Place];
    for (const { file } of [a, b]) {
      writeFileSync(file, 'one\n'.repeat(1_000));
      truncateSync(file, 50e9);
    }
    for await (const lines of readLogs([named(a), named(b)])) {
      expect(lines[0]?.text).toBe('one');
      break;
    }
  });

  test('tell which one cannot be read, and go on with the others', async () => {
    const [a, b] = places('a', 'b') as [Place, Place];
    writeFileSync(a.file, 'one\n');
    writeFileSync(b.file, 'one\n');
    writeFileSync(`${a.file}.journal`, 'no');
    const problems: unknown[] = [];
    const onProblem = (name: string, error: unknown) => void problems.push([name, (error as { code: string }).code]);
    expect(told(await merged([named(a), named(b)], { onProblem }))).toEqual(['b: one']);
    expect(problems).toEqual([['a', 'CORE_FILE_INVALID']]);
    await expect(merged([named(a), named(b)])).rejects.toMatchObject({ code: 'CORE_FILE_INVALID' });
  });
});

describe('the lines that are wanted', () => {
  const traceback = ['Traceback (most recent call last):', '  File "x.py", line 1', 'ValueError: no'];

  test('are those so severe, with what belongs to them; the last ones are looked for however far back they are', async () => {
    const [a, b] = places('a', 'b') as [Place, Place];
    const chatter = Array.from({ length: 5_000 }, (_, n) => `INFO: ${n}`).join('\n');
    writeFileSync(a.file, `WARNING: w\n${traceback.join('\n')}\n${chatter}\n`);
    writeFileSync(b.file, `${chatter}\nplain\n\u001B[31mERROR\u001B[0m: e\n`);
    const logs = [named(a), named(b)];
    const severe = async (options: ReadLogsOptions) => told(await merged(logs, options));
    expect(await severe({ level: 'error', last: 4 })).toEqual([
      ...traceback.map((line) => `a: ${line}`),
      'b: \u001B[31mERROR\u001B[0m: e',
    ]);
    expect(await severe({ level: 'warn' })).toHaveLength(5);
    expect(await severe({ grep: /^error/i, last: 10 })).toEqual(['b: \u001B[31mERROR\u001B[0m: e']);
    expect(await severe({ grep: /4999|plain/g, last: 10 })).toEqual(['a: INFO: 4999', 'b: INFO: 4999', 'b: plain']);
  });

  test('are known within a traceback', async () => {
    const at = place();
    writeFileSync(at.file, `INFO: up\n${traceback.join('\n')}\nplain\n`);
    const last = await merged([named(at)], { last: 1 });
    expect(last).toMatchObject([{ text: 'plain', level: 'error' }]);
    expect((await merged([named(at)])).map(({ level }) => level)).toEqual(['info', 'error', 'error', 'error', 'error']);
  });
});

describe('many logs that are followed', () => {
  test('give a line once, when it is there, and again while it grows', async () => {
    const [a, b] = places('a', 'b') as [Place, Place];
    writeFileSync(a.file, 'before\n');
    const lines = follow([named(a), named(b)], { last: 10 });
    await eventually(() => lines.length === 1);
    appendFileSync(b.file, 'of b\n 10%');
    await eventually(() => lines.length === 3);
    appendFileSync(b.file, '\r 20%');
    await eventually(() => lines.length === 4);
    appendFileSync(a.file, 'of a\n');
    appendFileSync(b.file, '\r 30%\n');
    await eventually(() => lines.length === 6);
    const texts = told(lines).toSorted();
    expect(texts).toEqual(['a: before', 'a: of a', 'b:  10%', 'b:  20%', 'b:  30%', 'b: of b']);
    expect(lines.filter(({ isPartial }) => isPartial).map(({ offset }) => offset)).toEqual([5, 5]);
  });

  test('take in those that come later, but not what somebody brought along', async () => {
    const root = temporaryFolder();
    const logs = [named(place(root, 'a'))];
    const lines = follow(logs, { find: () => logs });
    const old = place(root, 'old');
    const ofOld = await keeperAt(old, start);
    await ofOld.append(start + second, 'of last year\n');
    await ofOld.close(start + second);
    const young = place(root, 'young');
    writeFileSync(young.file, 'first\n');
    logs.push(named(old), named(young));
    await eventually(() => lines.length === 1);
    appendFileSync(old.file, 'now\n');
    appendFileSync(young.file, 'second\n');
    await eventually(() => lines.length === 3);
    expect(told(lines).toSorted()).toEqual(['old: now', 'young: first', 'young: second']);
  });

  test('go on with an instance whose folder was removed', async () => {
    const [a] = places('a');
    writeFileSync(a.file, 'a long first line\n');
    let passed = 0;
    const clock = { ...systemClock, elapsed: () => systemClock.elapsed() + passed, sleep: quick };
    const lines = follow([named(a)], { clock });
    await eventually(() => lines.length === 1);
    rmSync(join(a.file, '..'), { recursive: true });
    mkdirSync(join(a.file, '..'));
    writeFileSync(a.file, 'anew\n');
    await eventually(() => {
      passed += second;
      return lines.length === 2;
    });
    expect(told(lines)).toEqual(['a: a long first line', 'a: anew']);
  });

  test.skipIf(!canCollapse)(
    'lose nothing, double nothing and keep their order while they are written and rotated',
    async () => {
      const all = places('a', 'b', 'c');
      for (const each of all) await kept(each, { limits: { maxBytes: 200_000 } });
      const lines = follow(all.map(named), { last: 10 });
      const writers = all.map((each, index) => writerOf(each, { count: 20_000, burst: 40 + 10 * index, restMs: 2 }));
      const counts = await Promise.all(writers.map(({ count }) => count));
      const whole = () => lines.filter(({ isPartial }) => !isPartial);
      await eventually(() => whole().length >= counts.reduce((sum, count) => sum + count), 'all lines', 30_000);
      for (const each of all) {
        await eventually(() => archivesOf(each, named(each).name).length > 1, 'rotations', 30_000);
        const numbers = whole()
          .filter(({ instance }) => instance === named(each).name)
          .map(numberOf);
        expect(numbers).toEqual(Array.from({ length: 20_000 }, (_, n) => n));
      }
      let latest = 0;
      for (const { time } of lines) {
        expect(latest - time).toBeLessThan(2 * second);
        latest = Math.max(latest, time);
      }
    },
  );
});

describe("the daemon's own log", () => {
  test('is read over all its files, dated by its lines, beside those of instances', async () => {
    const folder = temporaryFolder();
    const logs: NamedLog[] = [{ name: 'daemon', folder }];
    expect(await merged(logs)).toEqual([]);
    const lines = follow(logs, { clock: { ...systemClock, sleep: quick } });
    const written = createDaemonLog({ dir: folder, maxSizeMiB: 0.01 });
    for (let n = 0; n < 500; n += 1) {
      written.log[n % 100 === 0 ? 'warn' : 'info'](`line ${n}`, { n });
      if (n % 10 === 0) await new Promise(setImmediate);
    }
    await written.close();
    const numbers = (some: readonly NamedLine[]) => some.map(({ text }) => JSON.parse(text).n);
    const every = Array.from({ length: 500 }, (_, n) => n);
    const past = await merged(logs);
    expect(numbers(past)).toEqual(every);
    for (const { text, time } of past) expect(JSON.parse(text).timestamp).toBe(new Date(time).toISOString());
    expect(numbers(await merged(logs, { last: 120 }))).toEqual(every.slice(-120));
    expect(numbers(await merged(logs, { last: 3, level: 'warn' }))).toEqual([200, 300, 400]);
    expect(await merged(logs, { until: start, last: 10 })).toEqual([]);
    const { time: middle = 0 } = past[250] ?? {};
    expect(numbers(await merged(logs, { since: middle }))).toEqual(numbers(past.filter(({ time }) => time >= middle)));
    expect(numbers(await merged(logs, { until: middle, last: 5 }))).toEqual(
      numbers(past.filter(({ time }) => time <= middle).slice(-5)),
    );
    await eventually(() => lines.length >= 500, 'all lines');
    expect(numbers(lines)).toEqual(every);
  });
});

/** For what is looked at every second. */
const quick: Clock['sleep'] = (ms, options) => systemClock.sleep(ms / 50, options);
