import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { gunzipSync } from 'node:zlib';
import { type LogLine, readLogBatches } from '@mgpu/core';
import { expect } from 'vitest';
import { isLong, type Patient, patienceMs, type Scenario, tryFaults } from './harness.ts';
import { residentMiB } from './processes.ts';
import { canMount, mountSmall } from './small-disk.ts';

const mebibyte = 1_048_576;
let memory = 0;

const remember = async (patient: Patient) => {
  memory = residentMiB((await patient.status()).daemon.pid);
};

/** What holds whatever an instance prints. */
const harmless = {
  'daemon alive, RSS < +64 MB': async (patient: Patient) =>
    expect(residentMiB((await patient.status()).daemon.pid) - memory).toBeLessThan(64),
  'nobody was restarted': async (patient: Patient) => {
    await patient.untilReady('alpha', 'beta');
    expect([await patient.startsOf('alpha'), await patient.startsOf('beta')]).toEqual([1, 1]);
  },
};

/** Two subjects whose output is archived as soon as there is so much of it. */
const printing = (
  logging: object,
  extra: Pick<Scenario, 'name' | 'inject' | 'mustHold'> & Partial<Scenario>,
): Scenario => ({
  services: (port) => ({ alpha: { enabled: true, port }, beta: { enabled: true, port: port + 1 } }),
  ...extra,
  async before(patient) {
    await patient.writeConfig((config: object) => ({ ...config, logging: { instances: logging } }));
    await extra.before?.(patient);
  },
});

const untilPrinted = (patient: Patient, lines: number) =>
  expect
    .poll(async () => (await patient.ask('alpha')).lines, { timeout: 120_000, interval: 200 })
    .toBeGreaterThan(lines);

async function everyLineOf(lines: AsyncIterable<LogLine[]>): Promise<LogLine[]> {
  const found: LogLine[] = [];
  for await (const batch of lines) found.push(...batch);
  return found;
}

/** How many archives end in the middle of a character: of four bytes, the first is 0xf0. */
async function charactersCut(patient: Patient): Promise<number> {
  const folder = join(patient.root, 'alpha', 'logs');
  const archives = (await readdir(folder)).filter((name) => name.endsWith('.gz'));
  const contents = await Promise.all(archives.map(async (name) => gunzipSync(await readFile(join(folder, name)))));
  return contents.filter((bytes) => bytes.subarray(-3).includes(0xf0)).length;
}

let followed: Promise<LogLine[]> = Promise.resolve([]);
const storm = isLong ? 256_000 : 64_000;

tryFaults('what is printed', [
  printing(
    { maxSizeMiB: 1, keepArchives: 100 },
    {
      name: 'F12 split UTF-8: characters cut by writes and by rotations, beside a reader that follows',
      async inject(patient) {
        await remember(patient);
        const leave = new AbortController();
        const file = join(patient.root, 'alpha', 'logs', 'output.log');
        followed = everyLineOf(readLogBatches(file, { from: 0, follow: true, signal: leave.signal }));
        await patient.tell('alpha', { pieces: Number.MAX_SAFE_INTEGER });
        await expect.poll(() => charactersCut(patient), { timeout: patienceMs, interval: 200 }).toBeGreaterThan(1);
        await patient.tell('alpha', { pieces: 0 });
        leave.abort();
      },
      mustHold: {
        'every character is read as it was written': async (patient) => {
          const strange = ({ text, isPartial }: LogLine) =>
            isPartial ? text.includes('\ufffd') : !/^n=\d+ of \S+ at=\d+( \u{1f600}{200})?$/u.test(text);
          expect((await everyLineOf(patient.linesOf('alpha'))).filter(strange)).toEqual([]);
          expect((await followed).filter(strange)).toEqual([]);
        },
        'whoever followed has every line once': async (patient) => {
          const ended = ({ isPartial }: LogLine) => !isPartial;
          const seen = (await followed).filter(ended).map(({ text }) => text);
          const all = (await everyLineOf(patient.linesOf('alpha'))).filter(ended).map(({ text }) => text);
          expect(seen.length).toBeGreaterThan(1_000);
          expect(seen).toEqual(all.slice(0, seen.length));
        },
        ...harmless,
      },
    },
  ),
  printing(
    { maxSizeMiB: 1, keepArchives: 100 },
    {
      name: 'F12 a file system that cannot take out the head of a file',
      short: true,
      skip: !canMount && 'no file system can be mounted here',
      mayLose: ['alpha'],
      before: (patient) => mountSmall(patient, join(patient.root, 'alpha'), 256 * mebibyte),
      async inject(patient) {
        await remember(patient);
        await patient.tell('alpha', { pieces: Number.MAX_SAFE_INTEGER });
        await expect.poll(() => lossesToldBy(patient), { timeout: patienceMs }).not.toEqual([]);
        await patient.tell('alpha', { pieces: 0 });
      },
      mustHold: {
        // That no line is missing where none is told to be, the invariants say.
        'loss counted and reported, to readers and in the log of the daemon': async (patient) => {
          // The file may just be emptied once more: who reads meanwhile still has what is lost a moment later.
          const told = async () => ({ readers: await lossesReadOf(patient), log: lossesToldBy(patient) });
          await expect.poll(told).toSatisfy(({ readers, log }) => isDeepStrictEqual(readers, log));
        },
        ...harmless,
      },
    },
  ),
  printing(
    { keepArchives: 20 },
    {
      name: `F12 log storm: as fast as it can, for ${storm / 1_000} MB`,
      async inject(patient) {
        await remember(patient);
        await patient.tell('alpha', { flood: storm });
        await untilPrinted(patient, storm);
      },
      // Lost lines and wrong stamps the invariants see.
      mustHold: harmless,
    },
  ),
  ...(['ramble', 'noise'] as const).map((what) =>
    printing(
      {},
      {
        name: `F12 a line of 100 MB without newline${what === 'noise' ? ', binary' : ''}`,
        async inject(patient) {
          await remember(patient);
          await patient.tell('alpha', { [what]: 100_000_000 });
          await untilPrinted(patient, 50);
        },
        mustHold: {
          'every byte of it is there, in pieces of bounded length': async (patient) => {
            let end = 0;
            let longest = 0;
            for await (const lines of patient.linesOf('alpha'))
              for (const line of lines) {
                expect(line.offset).toBe(end);
                end = line.end;
                longest = Math.max(longest, Buffer.byteLength(line.text));
              }
            expect(end).toBeGreaterThan(100_000_000);
            expect(longest).toBeLessThanOrEqual(3 * 64 * 1_024); // a byte that is no text is told as three
          },
          ...harmless,
        },
      },
    ),
  ),
]);

/** Bytes of each loss that a reader is told of now. */
async function lossesReadOf(patient: Patient): Promise<number[]> {
  const lines = await everyLineOf(patient.linesOf('alpha'));
  return lines.flatMap(({ lost }) => (lost ? [lost] : []));
}

/** Bytes of each loss that the daemon's log tells of; not of those whose extent nobody can know. */
function lossesToldBy(patient: Patient): number[] {
  return patient
    .daemonLog()
    .split('\n')
    .filter((line) => line.includes('a part of its log is lost'))
    .map((line) => JSON.parse(line) as { from: number; to: number })
    .map(({ from, to }) => to - from)
    .filter((bytes) => bytes > 0);
}
