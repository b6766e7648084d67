import { appendFileSync } from 'node:fs';
import type { LogLine } from '@mgpu/core';
import { describe, expect, test } from 'vitest';
import { keeperAt, linesOf, place, textsOf } from './support.ts';

const second = 1_000;

const timesOf = (lines: readonly LogLine[]) => lines.map(({ text, time, earliest }) => [text, time, earliest]);

describe('the times of a log', () => {
  test('are those of the looks between which a line was written', async () => {
    const at = place();
    const start = Date.UTC(2026, 0, 1);
    const keeper = await keeperAt(at, start);
    await keeper.append(start + second, 'one\n');
    await keeper.append(start + 2 * second, 'two\nthree\n');
    // A pause: what comes after it is not as old as what came before.
    for (let now = 3; now <= 60; now += 1) await keeper.look(start + now * second);
    await keeper.append(start + 61 * second, 'four\n');
    await keeper.close(start + 62 * second);
    expect(timesOf(await linesOf(at))).toEqual([
      ['one', start + second, undefined],
      ['two', start + 2 * second, undefined],
      ['three', start + 2 * second, undefined],
      ['four', start + 61 * second, undefined],
    ]);
  });

  test('are known after a pause, whenever that ends', async () => {
    for (let pause = 10; pause < 15; pause += 1) {
      const at = place();
      const start = Date.UTC(2026, 0, 1);
      const keeper = await keeperAt(at, start);
      for (let now = 1; now <= pause; now += 1) await keeper.look(start + now * second);
      await keeper.append(start + (pause + 1) * second, 'at last\n');
      await keeper.close(start + (pause + 2) * second);
      expect(timesOf(await linesOf(at))).toEqual([['at last', start + (pause + 1) * second, undefined]]);
    }
  });

  test('are bounds where nobody kept it', async () => {
    const at = place();
    const start = Date.UTC(2026, 0, 1);
    appendFileSync(at.file, 'before\n');
    const first = await keeperAt(at, start);
    await first.append(start + second, 'kept\n');
    await first.close(start + 2 * second);
    appendFileSync(at.file, 'alone\n');
    const second_ = await keeperAt(at, start + 100 * second);
    await second_.append(start + 101 * second, 'kept again\n');
    await second_.close(start + 102 * second);
    expect(timesOf(await linesOf(at))).toEqual([
      ['before', start, 0],
      ['kept', start + second, undefined],
      ['alone', start + 100 * second, start + second],
      ['kept again', start + 101 * second, undefined],
    ]);
  });

  test('find lines since and until', async () => {
    const at = place();
    const start = Date.UTC(2026, 0, 1);
    const keeper = await keeperAt(at, start);
    for (let n = 1; n <= 100; n += 1) await keeper.append(start + n * second, `line ${n}\n`);
    await keeper.close(start + 100 * second);
    const between = (since: number, until: number) =>
      textsOf(at, { since: start + since * second, until: start + until * second });
    expect(await between(50, 51)).toEqual(['line 50', 'line 51', 'line 52']);
    expect(await between(0, 1)).toEqual(['line 1', 'line 2']);
    expect(await between(99.5, 1_000)).toEqual(['line 100']);
    expect(await between(101, 1_000)).toEqual([]);
    expect(await textsOf(at, { since: start + 40 * second, last: 2 })).toEqual(['line 99', 'line 100']);
    expect(await textsOf(at, { until: start + 40 * second, last: 2 })).toEqual(['line 40', 'line 41']);
  });

  test('never run backwards, whatever the wall clock does', async () => {
    const at = place();
    const start = Date.UTC(2026, 0, 1);
    const keeper = await keeperAt(at, start);
    await keeper.append(start + 10 * second, 'one\n');
    await keeper.append(start + second, 'two\n');
    await keeper.append(start + 11 * second, 'three\n');
    await keeper.close(start + 12 * second);
    const times = (await linesOf(at)).map(({ time }) => time);
    expect(times).toEqual(times.toSorted((a, b) => a - b));
  });

  test('stay right after an entry that was not finished', async () => {
    const at = place();
    const start = Date.UTC(2026, 0, 1);
    const first = await keeperAt(at, start);
    await first.append(start + second, 'one\n');
    await first.close(start + second);
    appendFileSync(`${at.file}.times`, 'torn');
    const next = await keeperAt(at, start + 2 * second);
    await next.append(start + 3 * second, 'two\n');
    await next.close(start + 3 * second);
    expect(timesOf(await linesOf(at))).toEqual([
      ['one', start + second, undefined],
      ['two', start + 3 * second, undefined],
    ]);
  });
});
