import { describe, expect, test } from 'vitest';
import { Breaker } from './breaker.ts';
import { healthColumns } from './health-fields.ts';
import { parseApps, parseHealth, parseRemaps } from './parse.ts';
import { problemIn } from './problem.ts';

// Answers as NVIDIA's documentation and public reports print them; none was recorded on a device of ours.
const help = (...names: string[]) =>
  `List of valid properties to query for the switch "--query-gpu":\n\n${names.map((name) => `"${name}"\nWhat it is.\n`).join('\n')}`;

describe('the columns to ask for', () => {
  test('are those that the driver knows, by its own names', () => {
    const names = (text: string) => healthColumns(text).map(({ name }) => name);
    expect(names(help('uuid', 'pci.bus_id', 'clocks_throttle_reasons.hw_slowdown'))).toEqual([
      'uuid',
      'pci.bus_id',
      'clocks_throttle_reasons.hw_slowdown',
    ]);
    const both = '"clocks_event_reasons.hw_slowdown" or "clocks_throttle_reasons.hw_slowdown"\n';
    expect(names(both)).toEqual(['clocks_event_reasons.hw_slowdown']);
  });

  test('are the oldest ones where the driver does not tell', () => {
    expect(healthColumns('').map(({ field }) => field)).toEqual([
      ...['uuid', 'bus', 'memoryTotalMiB', 'memoryUsedMiB', 'temperatureC'],
    ]);
  });
});

describe('the rows of an answer', () => {
  const columns = healthColumns(
    help('uuid', 'pci.bus_id', 'memory.used', 'ecc.errors.uncorrected.volatile.total', 'remapped_rows.pending'),
  );

  test('are GPUs; what the driver does not offer is undefined', () => {
    const text = 'GPU-aaaa, 00000000:3B:00.0, 1024, 0, No\nGPU-bbbb, 00000000:AF:00.0, [N/A], [N/A], [Not Supported]\n';
    expect(parseHealth(text, columns)).toMatchObject({
      odd: [],
      gpus: [
        { uuid: 'GPU-aaaa', bus: '0000:3b:00', memoryUsedMiB: 1024, eccUncorrected: 0, remapPending: false },
        {
          uuid: 'GPU-bbbb',
          bus: '0000:af:00',
          memoryUsedMiB: undefined,
          eccUncorrected: undefined,
          remapPending: undefined,
        },
      ],
    });
  });

  test.each([
    'GPU-aaaa, 00000000:3B:00.0, [GPU requires reset], 0, No',
    '[GPU is lost], 00000000:3B:00.0, 1, 0, No',
    'GPU-aaaa, 00000000:3B:00.0, 10',
    '<<<< not a table >>>>',
  ])('are no GPU that works: %s', (text) => {
    expect(parseHealth(text, columns)).toEqual({ gpus: [], odd: [text] });
  });

  test('name one GPU once', () => {
    const row = 'GPU-aaaa, 00000000:3B:00.0, 1, 0, No\n';
    expect(parseHealth(row + row, columns)).toMatchObject({ gpus: [{ uuid: 'GPU-aaaa' }], odd: [row.trim()] });
  });
});

test('processes are listed with whatever name they have', () => {
  const text =
    'GPU-aaaa, 4711, python, main.py, 2000\nGPU-aaaa, 4712, [Not Found], [N/A]\nNo running processes found\n';
  expect(parseApps(text)).toEqual([
    { gpu: 'GPU-aaaa', pid: 4711, name: 'python, main.py', memoryMiB: 2000 },
    { gpu: 'GPU-aaaa', pid: 4712, name: '[Not Found]', memoryMiB: undefined },
  ]);
});

test('remapped rows come as words or numbers', () => {
  expect([...parseRemaps('GPU-aaaa, Yes, No\nGPU-bbbb, 0, 1\n').values()]).toEqual([
    { remapPending: true, remapFailed: false },
    { remapPending: false, remapFailed: true },
  ]);
});

test.each([
  ['Failed to initialize NVML: Unknown Error', 'container-lost-gpu'],
  ['Failed to initialize NVML: Driver/library version mismatch\nNVML library version: 580.95', 'driver-mismatch'],
  ["NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.", 'no-driver'],
  ['No devices were found', 'no-devices'],
  ['Unable to determine the device handle for GPU0000:01:00.0: Unknown Error', 'gpu-lost'],
  ['Segmentation fault (core dumped)', 'failed'],
])('%s means %s', (text, kind) => {
  expect(problemIn(text)).toMatchObject({ kind, text: text.split('\n')[0] });
});

describe('the breaker', () => {
  test('lets the next one through half a minute after a hang, and closes at an answer', () => {
    const breaker = new Breaker();
    expect(breaker.refusal(0)).toBeUndefined();
    breaker.hung(0, 5_000);
    expect(breaker.refusal(34_999)).toBe('no query for another 1 s');
    expect(breaker.refusal(35_000)).toBeUndefined();
    expect([breaker.nextIn(60_000), breaker.nextIn(10_000)]).toEqual([30_000, 10_000]);
    breaker.hung(35_000, 40_000);
    expect(breaker.periods).toEqual([{ from: 0 }]);
    breaker.answered(70_000);
    expect(breaker.periods).toEqual([{ from: 0, until: 70_000 }]);
    expect(breaker.nextIn(60_000)).toBe(60_000);
  });

  test('lets none through while one that was abandoned lives', async () => {
    const breaker = new Breaker();
    const gone = Promise.withResolvers<void>();
    breaker.hung(0, 5_000, gone.promise);
    expect(breaker.refusal(3_600_000)).toContain('hangs in the kernel');
    gone.resolve();
    await gone.promise;
    expect(breaker.refusal(3_600_000)).toBeUndefined();
  });

  test('waits when it is told, and remembers a bounded number of hangs', () => {
    const breaker = new Breaker();
    breaker.pause(0, 30_000);
    expect(breaker.refusal(29_000)).toBe('no query for another 1 s');
    for (let time = 0; time < 100; time++) {
      breaker.hung(time * 100_000, time * 100_000 + 5_000);
      breaker.answered(time * 100_000 + 50_000);
    }
    expect(breaker.periods).toHaveLength(16);
  });
});
