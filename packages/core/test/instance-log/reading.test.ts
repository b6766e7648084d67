import { appendFileSync, createWriteStream, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { finished } from 'node:stream/promises';
import { type LogLine, LogReader, logEnd, readLog, readLogBatches, systemClock } from '@mgpu/core';
import { describe, expect, onTestFinished, test } from 'vitest';
import { eventually } from '../support.ts';
import { archivesOf, canCollapse, kept, linesOf, place, textsOf } from './support.ts';

/** Lines as they come, until the test ends. */
function follow({ file }: { file: string }, from?: number): LogLine[] {
  const lines: LogLine[] = [];
  const end = new AbortController();
  const reading = (async () => {
    for await (const line of readLog(file, { from, follow: true, signal: end.signal })) lines.push(line);
  })();
  onTestFinished(async () => {
    end.abort();
    await reading;
  });
  return lines;
}

describe('reading a log', () => {
  test('that does not exist gives nothing', async () => {
    const at = place();
    expect(await linesOf(at)).toEqual([]);
    expect(await linesOf(at, { last: 10 })).toEqual([]);
    expect(await logEnd(at.file)).toEqual({ offset: 0 });
  });

  test('gives the lines of a range', async () => {
    const at = place();
    writeFileSync(at.file, 'one\ntwo\nthree\nfour');
    expect(await textsOf(at, { from: 4 })).toEqual(['two', 'three', 'four']);
    expect(await textsOf(at, { from: 5 })).toEqual(['wo', 'three', 'four']);
    expect(await textsOf(at, { to: 5 })).toEqual(['one', 'two']);
    expect(await textsOf(at, { from: 4, to: 8 })).toEqual(['two']);
    expect(await textsOf(at, { from: 100 })).toEqual([]);
  });

  test.each([
    [0, []],
    [1, ['four']],
    [3, ['two', 'three', 'four']],
    [9, ['one', 'two', 'three', 'four']],
  ])('gives the last %i lines', async (last, expected) => {
    const at = place();
    writeFileSync(at.file, 'one\ntwo\nthree\nfour');
    expect(await textsOf(at, { last })).toEqual(expected);
    appendFileSync(at.file, '\n');
    expect(await textsOf(at, { last })).toEqual(expected);
  });

  test('finds the last lines of many gigabytes from their end', async () => {
    const at = place();
    writeFileSync(at.file, '');
    truncateSync(at.file, 50e9);
    appendFileSync(at.file, `\n${Array.from({ length: 5_000 }, (_, n) => `line ${n}\n`).join('')}`);
    const lines = await textsOf(at, { last: 4_000 });
    expect(lines).toHaveLength(4_000);
    expect(lines[0]).toBe('line 1000');
  });

  test('goes on where the last line ended', async () => {
    const at = place();
    writeFileSync(at.file, 'one\ntwo\n');
    const [one] = await linesOf(at);
    expect(await textsOf(at, { from: one?.end ?? 0 })).toEqual(['two']);
  });

  test('gives 100 MB without a line end in pieces, and holds one at a time', async () => {
    const at = place();
    const output = createWriteStream(at.file);
    for (let megabyte = 0; megabyte < 100; megabyte += 1) output.write(Buffer.alloc(1_000_000, 'x'));
    output.end('\nend\n');
    await finished(output);
    let bytes = 0;
    let longest = 0;
    for await (const lines of readLogBatches(at.file)) {
      for (const { text } of lines) {
        bytes += text.length;
        longest = Math.max(longest, text.length);
      }
    }
    expect({ bytes, longest }).toEqual({ bytes: 100_000_003, longest: 65_536 });
  });
});

describe('following a log', () => {
  test('gives what is written later, and a line that grows again and again', async () => {
    const at = place();
    const lines = follow(at);
    writeFileSync(at.file, 'one\n');
    await eventually(() => lines.length === 1);
    for (const progress of ['  0%', '\r 50%', '\r100%']) {
      appendFileSync(at.file, progress);
      await eventually(() => lines.at(-1)?.text === progress.trimStart().padStart(4));
    }
    appendFileSync(at.file, '\nend\n');
    await eventually(() => lines.at(-1)?.text === 'end');
    const grown = lines.filter(({ offset }) => offset === 4);
    expect(grown.map(({ text }) => text)).toEqual(['  0%', ' 50%', '100%', '100%']);
    expect(grown.map(({ isPartial = false }) => isPartial)).toEqual([true, true, true, false]);
  });

  test('puts the bytes of a character together', async () => {
    const at = place();
    const lines = follow(at);
    const bytes = Buffer.from('x😀\n');
    for (const byte of bytes) {
      appendFileSync(at.file, Buffer.from([byte]));
      await systemClock.sleep(1);
    }
    await eventually(() => lines.some(({ isPartial }) => !isPartial));
    expect(new Set(lines.map(({ text }) => text))).toEqual(
      new Set([...lines.slice(0, 1).map(({ text }) => text), 'x😀']),
    );
    expect(lines.every(({ text }) => 'x😀'.startsWith(text))).toBe(true);
  });

  test('ends with its signal, at once', async () => {
    const at = place();
    const signal = AbortSignal.timeout(50);
    expect(await linesOf(at, { follow: true, signal })).toEqual([]);
    expect(await linesOf(at, { follow: true, signal: AbortSignal.abort() })).toEqual([]);
  });

  test('tells how much is lost, however often it looked before there was more', async () => {
    const at = place();
    writeFileSync(at.file, 'one\ntwo\n');
    await (await kept(at)).close();
    truncateSync(at.file);
    await (await kept(at)).close();
    const reader = new LogReader(at.file, { from: 0 });
    const read = async () => {
      const found: LogLine[] = [];
      for await (const lines of reader.read()) found.push(...lines);
      return found;
    };
    expect(await read()).toEqual([]);
    expect(await read()).toEqual([]);
    appendFileSync(at.file, '3\n');
    expect(await read()).toMatchObject([{ text: '3', offset: 8, lost: 8 }]);
  });

  test('goes on when somebody removed the file', async () => {
    const at = place();
    writeFileSync(at.file, 'one\n');
    await kept(at);
    const lines = follow(at);
    await eventually(() => lines.length === 1);
    rmSync(at.file);
    writeFileSync(at.file, '2\n');
    await eventually(() => lines.at(-1)?.text === '2', 'the second line', 20_000);
    expect(lines.at(-1)?.lost).toBeGreaterThanOrEqual(0);
  });
});

describe.skipIf(!canCollapse)('reading a log that was rotated', () => {
  test('goes through archives as if there were none', async () => {
    const at = place();
    const all = Array.from({ length: 15_000 }, (_, n) => `line ${n} ${'x'.repeat(n % 50)}`);
    writeFileSync(at.file, all.map((line) => `${line}\n`).join(''));
    await kept(at, { limits: { maxBytes: 100_000 } });
    await eventually(() => archivesOf(at).length >= 3);
    const lines = await linesOf(at);
    expect(lines.map(({ text }) => text)).toEqual(all);
    expect(await textsOf(at, { last: 14_000 })).toEqual(all.slice(-14_000));
    const from = lines[1_234]?.offset ?? 0;
    const to = lines[1_300]?.offset ?? 0;
    expect(await textsOf(at, { from, to })).toEqual(all.slice(1_234, 1_300));
  });
});
