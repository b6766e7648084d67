import fc from 'fast-check';
import { expect, test } from 'vitest';
import { healthColumns } from './health-fields.ts';
import { parseApps, parseHealth, parseRemaps } from './parse.ts';
import { problemIn, problemOf } from './problem.ts';

const examples = [
  'GPU-5f3c0000-aaaa, 00000000:01:00.0, 24564, 1, 35, 0, No, No, Not Active, Not Active, Not Active, Enabled\n',
  'GPU-5f3c0000-aaaa, 4711, python, main.py, 1024\n',
  'GPU-5f3c0000-aaaa, Yes, No\n',
  'Unable to determine the device handle for GPU 0000:02:00.0: GPU is lost.  Reboot the system to recover this GPU\n',
  'Failed to initialize NVML: Driver/library version mismatch\n',
  '"uuid"\nThe id.\n"clocks_event_reasons.hw_slowdown" or "clocks_throttle_reasons.hw_slowdown"\n',
];
/** Pieces of what is right, cut, repeated and mixed with anything. */
const piece = fc.oneof(
  fc.tuple(fc.constantFrom(...examples), fc.nat(200), fc.nat(200)).map(([text, from, to]) => text.slice(from, to)),
  fc.tuple(fc.constantFrom(...examples), fc.integer({ min: 1, max: 300 })).map(([text, times]) => text.repeat(times)),
  fc.string({ unit: 'binary', maxLength: 2_000 }),
);
const spoiled = fc.array(piece, { maxLength: 4 }).map((pieces) => pieces.join(''));

test('answers of nvidia-smi never throw, and what they give is bounded', () => {
  const columns = healthColumns('');
  const end = { exitCode: 1, signal: undefined, timedOut: false, spawnError: undefined };
  fc.assert(
    fc.property(spoiled, (text) => {
      const { gpus, odd } = parseHealth(text, columns);
      expect(gpus.length + odd.length).toBeLessThanOrEqual(64);
      expect(new Set(gpus.map(({ uuid }) => uuid)).size).toBe(gpus.length);
      expect(parseApps(text).length).toBeLessThanOrEqual(1_024);
      expect(parseRemaps(text).size).toBeLessThanOrEqual(64);
      expect(healthColumns(text).length).toBeLessThanOrEqual(14);
      expect(problemIn(text).text.length).toBeLessThanOrEqual(300);
      expect(problemOf({ ...end, ok: false, stdout: text, stderr: text })?.text.length).toBeLessThan(400);
    }),
    { numRuns: 500 },
  );
});
