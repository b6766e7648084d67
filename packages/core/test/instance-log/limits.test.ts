import { randomBytes } from 'node:crypto';
import { appendFileSync, existsSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { type Logger, silentLogger, systemClock } from '@mgpu/core';
import { describe, expect, test } from 'vitest';
import { eventually } from '../support.ts';
import {
  archivesOf,
  canCollapse,
  canMount,
  canMountImages,
  expectNumbers,
  kept,
  linesOf,
  memoryFolder,
  numberOf,
  place,
  smallDisk,
  smallExt4,
  textsOf,
  writerOf,
} from './support.ts';

const megabyte = 1_000_000;
const cutId = '6f9619ff-8b86-4d01-b42d-00cf4fc964ff';
const mark = `mgpu cut ${cutId}\n`;
const day = 24 * 60 * 60 * 1_000;

/** Lines that no archive makes smaller. */
function noise(bytes: number): string {
  const line = () => `${randomBytes(72).toString('base64')}\n`;
  return Array.from({ length: Math.ceil(bytes / 97) }, line).join('');
}

function recorded(): { told: string[]; log: Logger } {
  const told: string[] = [];
  const tell = (message: string) => void told.push(message);
  const log: Logger = { ...silentLogger, warn: tell, info: tell };
  return { told, log };
}

describe.skipIf(!canCollapse)('what is kept of a log', () => {
  test('are so many archives; the reader says how much is missing', async () => {
    const at = place();
    await kept(at, { limits: { maxBytes: 300_000, keepArchives: 3 } });
    await writerOf(at, { count: 50_000, burst: 100, restMs: 1 }).count;
    await eventually(() => statSync(at.file).size <= 300_000 && archivesOf(at).length === 3);
    const lines = await linesOf(at, { from: 0 });
    const [, first] = lines; // the one before that began in an archive that is gone
    expect(lines[0]?.lost).toBe(lines[0]?.offset);
    expect(lines.slice(1).map(numberOf)).toEqual(
      Array.from({ length: lines.length - 1 }, (_, n) => 50_000 - lines.length + 1 + n),
    );
    expect((await linesOf(at))[1]).toEqual(first);
  });

  test('are archives of so many days', async () => {
    const at = place();
    writeFileSync(at.file, noise(400_000));
    const limits = { maxBytes: 300_000, keepDays: 10 };
    await kept(at, { limits });
    const [old = ''] = await eventually(() => archivesOf(at).length === 1 && archivesOf(at));
    const path = join(at.file, '..', old);
    const before = new Date(Date.now() - 11 * day);
    utimesSync(path, before, before);
    appendFileSync(at.file, noise(300_000));
    await eventually(() => !existsSync(path));
    await eventually(() => archivesOf(at).length === 1);
  });

  test('are no older ones, though nothing is written, and nobody keeps the log any more', async () => {
    const at = place();
    const gone = place(at.root, 'gone');
    for (const { file } of [at, gone]) {
      for (const [name, days] of [
        ['0-100', 31],
        ['100-200', 29],
      ] as const) {
        const path = `${file}.${name}.gz`;
        writeFileSync(path, gzipSync('x'.repeat(100)));
        const then = new Date(Date.now() - days * day);
        utimesSync(path, then, then);
      }
    }
    writeFileSync(`${at.file}.journal`, JSON.stringify({ v: 1, base: 200, gaps: [] }));
    writeFileSync(at.file, 'small\n');
    await kept(at, { limits: { keepDays: 30 } });
    const left = ['output.log.100-200.gz'];
    await eventually(() => archivesOf(at).length === 1 && archivesOf(gone, 'gone').length === 1);
    expect([archivesOf(at), archivesOf(gone, 'gone')]).toEqual([left, left]);
  });

  test('are so many bytes of all instances; the oldest go first', async () => {
    const at = place();
    const other = place(at.root, 'other');
    for (const [index, name] of ['0-100', '100-200', '200-300'].entries()) {
      const path = `${other.file}.${name}.gz`;
      writeFileSync(path, randomBytes(400_000));
      const then = new Date(Date.now() - (3 - index) * 60_000);
      utimesSync(path, then, then);
    }
    writeFileSync(at.file, noise(400_000));
    // The three above and what is rotated now: about 1,500 KB.
    await kept(at, { limits: { maxBytes: 300_000, totalBytes: megabyte } });
    await eventually(() => archivesOf(other, 'other').length === 1);
    expect(archivesOf(other, 'other')).toEqual(['output.log.200-300.gz']);
    expect(archivesOf(at)).toHaveLength(1);
  });
});

describe('a log on a file system that cannot take out the head of a file', () => {
  test('is rotated before a run, with nothing lost', async () => {
    const at = place(memoryFolder());
    for (const run of [1, 2, 3]) {
      const keeper = await kept(at, { limits: { maxBytes: megabyte } });
      expect(archivesOf(at)).toHaveLength(run - 1);
      expect(existsSync(at.file) ? statSync(at.file).size : 0).toBe(0);
      appendFileSync(at.file, `run ${run}\n${noise(2 * megabyte)}`);
      await keeper.close();
    }
    const lines = await linesOf(at, { from: 0 });
    expect(lines.every(({ lost }) => lost === undefined)).toBe(true);
    expect(lines.map(({ text }) => text).filter((text) => text.startsWith('run '))).toEqual([
      'run 1',
      'run 2',
      'run 3',
    ]);
  });

  test('is left alone before a run, too, while it is small and of today', async () => {
    const at = place(memoryFolder());
    for (const run of [1, 2]) {
      const keeper = await kept(at, { clock: systemClock, limits: { maxBytes: megabyte } });
      expect(archivesOf(at)).toEqual([]);
      appendFileSync(at.file, `run ${run}\n${noise(megabyte / 4)}`);
      await keeper.close();
    }
    expect(archivesOf(at)).toEqual([]);
  });

  test('is left alone while it is written', async () => {
    const at = place(memoryFolder());
    const keeper = await kept(at, { limits: { maxBytes: megabyte } });
    await writerOf(at, { count: 30_000 }).count;
    await keeper.close();
    expect(archivesOf(at)).toEqual([]);
    await expectNumbers(at, 30_000);
  });

  test('is emptied above the hard cap; what was lost is told, and nothing is doubled', async () => {
    const at = place(memoryFolder());
    const { told, log } = recorded();
    const keeper = await kept(at, { log, limits: { maxBytes: 500_000 } });
    const count = 200_000;
    await writerOf(at, { count, burst: 500 }).count;
    await eventually(() => statSync(at.file).size <= 2 * megabyte, 'the last rotation');
    await keeper.close();
    expect(told).toContain('a part of its log is lost');
    const lines = await linesOf(at, { from: 0 });
    expect(lines.some(({ lost }) => lost !== undefined)).toBe(true);
    const numbers = lines.filter(({ text }) => /^\d{10} x{88}$/.test(text)).map(numberOf);
    expect(numbers.every((number, index) => index === 0 || number > (numbers[index - 1] ?? 0))).toBe(true);
    // How much is lost each time depends on how long the disk took: what matters is that it is told.
    expect(numbers.length).toBeGreaterThan(0);
  });

  test.each([
    ['copied', 'the head is copied', ''],
    ['copied', 'the head has its mark', mark],
    ['marked', 'the journal says so, too', mark],
  ])(
    'keeps what was written while nobody kept it, though its keeper was killed when (%s) %s',
    async (stage, _, begin) => {
      const at = place(memoryFolder());
      const head = Array.from({ length: 200 }, (_, n) => `before ${n}\n`).join('');
      const rest = Array.from({ length: 1_000 }, (_, n) => `after ${n}\n`).join('');
      writeFileSync(`${at.file}.0-${head.length}.gz`, gzipSync(head));
      const cut = { id: cutId, by: 'truncate', length: head.length, stage, isLossy: true };
      writeFileSync(`${at.file}.journal`, JSON.stringify({ v: 1, base: 0, cut, gaps: [] }));
      // What a recovery that was killed, too, had copied.
      writeFileSync(`${at.file}.${head.length}-${head.length + 6}.gz`, gzipSync('after '));
      writeFileSync(at.file, `${begin}${head.slice(begin.length)}${rest}`);
      const keeper = await kept(at, { isWritten: true });
      appendFileSync(at.file, 'at last\n');
      await keeper.close();
      const lines = await linesOf(at, { from: 0 });
      expect(lines.map(({ text }) => `${text}\n`).join('')).toBe(`${head}${rest}at last\n`);
      expect(lines.at(-1)).toMatchObject({ end: head.length + rest.length + 8 });
      expect(statSync(at.file).size).toBe(8);
    },
  );
});

describe.skipIf(!canMount)('a log on a disk that is full', () => {
  test('gives up its oldest archives first', async () => {
    const at = place(smallDisk(10));
    await kept(at, { limits: { maxBytes: megabyte } });
    for (const round of [1, 2, 3]) {
      appendFileSync(at.file, `round ${round}\n${noise(4.2 * megabyte)}`);
      await eventually(() => statSync(at.file).size === 0, 'a rotation');
      expect(archivesOf(at)).toHaveLength(1);
    }
    expect(await textsOf(at)).toContain('round 3');
  });

  test('loses its head rather than grow, says so once, and goes on when there is room', async () => {
    const at = place(smallDisk(10));
    const { told, log } = recorded();
    const ballast = join(at.root, 'ballast');
    writeFileSync(ballast, Buffer.alloc(4 * megabyte));
    await kept(at, { log, limits: { maxBytes: megabyte } });
    for (let round = 1; round <= 3; round += 1) {
      appendFileSync(at.file, noise(4.5 * megabyte));
      await eventually(() => statSync(at.file).size === 0, 'the loss');
    }
    expect(archivesOf(at)).toEqual([]);
    rmSync(ballast);
    appendFileSync(at.file, `at last\n${noise(4.5 * megabyte)}`);
    await eventually(() => archivesOf(at).length === 1, 'an archive');
    const line = (await linesOf(at, { from: 0 }))[0];
    expect(line).toMatchObject({ text: 'at last', lost: line?.offset });
    expect(told.filter((message) => message === 'a part of its log is lost').length).toBeGreaterThanOrEqual(3);
  });

  test('counts what it gives up when it finishes a cut that was interrupted', async () => {
    const at = place(smallDisk(4));
    const { told, log } = recorded();
    const head = noise(100_000);
    const text = `${head}${noise(2.5 * megabyte)}`;
    const cut = { id: cutId, by: 'truncate', length: head.length, stage: 'marked', isLossy: true };
    writeFileSync(`${at.file}.0-${head.length}.gz`, gzipSync(head));
    writeFileSync(`${at.file}.journal`, JSON.stringify({ v: 1, base: 0, cut, gaps: [] }));
    writeFileSync(at.file, `${mark}${text.slice(mark.length)}`);
    writeFileSync(join(at.root, 'ballast'), Buffer.alloc(megabyte));
    const keeper = await kept(at, { log, isWritten: true });
    appendFileSync(at.file, 'at last\n');
    await keeper.close();
    expect(told).toEqual(['a part of its log is lost']);
    const lines = await linesOf(at, { from: 0 });
    expect(
      `${lines
        .slice(0, -1)
        .map((line) => line.text)
        .join('\n')}\n`,
    ).toBe(head);
    expect(lines.at(-1)).toMatchObject({ text: 'at last', offset: text.length, lost: text.length - head.length });
  });

  test('has no times for a while', async () => {
    const at = place(smallDisk(2));
    const { told, log } = recorded();
    writeFileSync(at.file, 'one\n');
    const ballast = join(at.root, 'ballast');
    fill(ballast);
    await kept(at, { log });
    appendFileSync(at.file, 'two\n'); // into the block it has
    await eventually(() => told.length === 1);
    expect(await textsOf(at)).toEqual(['one', 'two']);
    rmSync(ballast);
    await eventually(() => told.length === 2);
    expect(told).toEqual(['cannot note the times of its log for now', 'can note the times of its log again']);
  });
});

describe.skipIf(!canMountImages)('a log on a full disk that can take out the head of a file', () => {
  test('loses nothing while there is no room, and is rotated when there is', async () => {
    const at = place(smallExt4(32));
    const { told, log } = recorded();
    const ballast = join(at.root, 'ballast');
    const text = noise(3 * megabyte);
    const keeper = await kept(at, { log, limits: { maxBytes: megabyte } });
    appendFileSync(at.file, noise(1_500_000));
    await eventually(() => archivesOf(at).length === 1);
    await keeper.close();
    appendFileSync(at.file, text);
    rmSync(join(at.file, '..', archivesOf(at)[0] ?? ''));
    fill(ballast);
    await kept(at, { log, isWritten: true, limits: { maxBytes: megabyte } });
    await eventually(() => told.includes('cannot rotate its log for now'));
    rmSync(ballast);
    await eventually(() => archivesOf(at).length >= 2 && statSync(at.file).size <= megabyte);
    const lines = await textsOf(at);
    expect(`${lines.join('\n')}\n`.endsWith(text)).toBe(true);
    await eventually(() => told.includes('can rotate its log again'));
    expect(told).toHaveLength(new Set(told).size);
  });
});

/** Takes all the room that is left. */
function fill(path: string): void {
  try {
    for (;;) appendFileSync(path, Buffer.alloc(4_096));
  } catch {
    // full
  }
}
