import type { GpuHealth, GpuHealthSample, GpuProblem } from '@mgpu/core';
import { describe, expect, test } from 'vitest';
import { driverUnusable } from './driver-unusable.ts';
import { ecc } from './ecc.ts';
import { gpuMissing } from './gpu-missing.ts';
import { gpuSlowdown } from './gpu-slowdown.ts';
import { nvidiaSmiHang } from './nvidia-smi-hang.ts';
import { rowRemap } from './row-remap.ts';

const card = (more: Partial<GpuHealth> = {}): GpuHealth => ({
  uuid: 'GPU-aaaa',
  bus: '0000:01:00',
  memoryTotalMiB: 24_564,
  memoryUsedMiB: 1,
  temperatureC: 40,
  utilizationPercent: 0,
  powerW: 20,
  powerLimitW: 450,
  eccUncorrected: undefined,
  remapPending: undefined,
  remapFailed: undefined,
  slowdowns: [],
  ...more,
});
const sample = (gpus: readonly GpuHealth[], more: Partial<GpuHealthSample> = {}): GpuHealthSample => ({
  at: 0,
  gpus,
  apps: [],
  hangs: [],
  ...more,
});
const broken = (kind: GpuProblem['kind'], text: string, bus?: string) =>
  sample([], { problem: { kind, text, ...(bus === undefined ? {} : { bus }) } });

test('a well machine gives no verdict, and neither does no sample', () => {
  const rules = [ecc, rowRemap, gpuMissing([{ uuid: 'GPU-aaaa' }]), nvidiaSmiHang, driverUnusable, gpuSlowdown];
  const well = [sample([card({ eccUncorrected: 0, remapPending: false, remapFailed: false })])];
  for (const history of [[], well]) expect(rules.flatMap((rule) => rule(history))).toEqual([]);
});

describe('uncorrected memory errors', () => {
  const counts = (...values: (number | undefined)[]) =>
    values.map((eccUncorrected) => sample([card({ eccUncorrected })]));

  test('drain the GPU when they rise', () => {
    expect(ecc(counts(0, 0, 2))).toMatchObject([
      { action: 'drain-gpu', subject: 'GPU-aaaa', reason: expect.stringContaining('rose from 0 to 2') },
    ]);
  });

  test('of before are only said', () => {
    expect(ecc(counts(2, 2))).toMatchObject([{ action: 'record', severity: 'warning' }]);
  });

  test('in a row that will be remapped are contained', () => {
    const pending = sample([card({ eccUncorrected: 1, remapPending: true })]);
    expect(ecc([sample([card({ eccUncorrected: 0 })]), pending])).toMatchObject([{ action: 'record' }]);
    expect(rowRemap([pending])).toMatchObject([{ action: 'record', hint: expect.stringContaining('idle') }]);
  });
});

test('a failed remapping takes the GPU out', () => {
  expect(rowRemap([sample([card({ remapFailed: true, remapPending: true })])])).toMatchObject([
    { action: 'quarantine-gpu', severity: 'critical', hint: 'the card needs to be replaced' },
  ]);
});

describe('a GPU that should be there', () => {
  const rule = gpuMissing([
    { uuid: 'GPU-aaaa', bus: '0000:01:00' },
    { uuid: 'GPU-bbbb', bus: '0000:02:00' },
  ]);

  test('is missing when a complete answer leaves it out', () => {
    expect(rule([sample([card()])])).toMatchObject([
      { subject: 'GPU-bbbb', action: 'quarantine-gpu', reason: expect.stringContaining('GPU-bbbb is missing') },
    ]);
  });

  test('is lost when nvidia-smi names its place; nobody else is', () => {
    const text = 'Unable to determine the device handle for GPU 0000:02:00.0: GPU is lost.';
    expect(rule([broken('gpu-lost', text, '0000:02:00')])).toMatchObject([
      { subject: 'GPU-bbbb', reason: expect.stringContaining('GPU-bbbb is lost') },
    ]);
  });

  test('is not missing because an answer failed', () => {
    for (const kind of ['hung', 'not-asked', 'failed', 'no-driver'] as const)
      expect(rule([broken(kind, 'no answer')])).toEqual([]);
  });
});

describe('nvidia-smi that does not answer', () => {
  const at = (seconds: number, ...hangs: [number, number?][]) =>
    sample([], {
      at: seconds * 1_000,
      hangs: hangs.map(([from, until]) => ({
        from: from * 1_000,
        ...(until === undefined ? {} : { until: until * 1_000 }),
      })),
    });

  test('is told, from a minute on as an error', () => {
    expect(nvidiaSmiHang([at(10, [5])])).toMatchObject([{ action: 'record', severity: 'warning' }]);
    expect(nvidiaSmiHang([at(70, [5])])).toMatchObject([{ action: 'record', severity: 'error' }]);
    expect(nvidiaSmiHang([at(80, [5, 75])])).toEqual([]);
  });

  test('twice for a minute makes the machine unhealthy', () => {
    expect(nvidiaSmiHang([at(300, [5, 75], [200])])).toMatchObject([
      {
        scope: 'host',
        subject: 'machine',
        action: 'stop-intake',
        severity: 'critical',
        evidence: ['70 s', '100 s, still'],
      },
    ]);
    expect(nvidiaSmiHang([at(230, [5, 75], [200])])).toMatchObject([{ action: 'record' }]);
  });

  test('is forgiven an hour after it answered', () => {
    expect(nvidiaSmiHang([at(3_000, [5, 75], [200, 300])])).toMatchObject([{ action: 'stop-intake' }]);
    expect(nvidiaSmiHang([at(3_700, [5, 75], [200, 300])])).toEqual([]);
    expect(nvidiaSmiHang([at(3_700, [5, 75], [3_695])])).toMatchObject([{ action: 'record', severity: 'warning' }]);
  });
});

test.each([
  ['container-lost-gpu', 'recreate the container'],
  ['driver-mismatch', 'reboot the machine'],
  ['no-driver', 'reboot, or install'],
] as const)('%s is nothing that a restart cures', (kind, hint) => {
  expect(driverUnusable([broken(kind, 'what it said')])).toMatchObject([
    { scope: 'host', action: 'stop-intake', hint: expect.stringContaining(hint), evidence: ['what it said'] },
  ]);
});

test('a GPU that is slowed most of the time is degraded, and goes on', () => {
  const hot = (minute: number, isHot: boolean) =>
    sample([card({ slowdowns: isHot ? ['heat'] : [], temperatureC: 91 })], { at: minute * 60_000 });
  const pattern = (text: string) => [...text].map((each, minute) => hot(minute, each === 'x'));
  expect(gpuSlowdown(pattern('xx.xx.x.xx'))).toMatchObject([
    {
      action: 'record',
      severity: 'warning',
      reason: expect.stringContaining('7 of 10 samples (heat), it is at 91 °C'),
    },
  ]);
  for (const rare of ['x.x.x.x.x.', 'xxxx']) expect(gpuSlowdown(pattern(rare))).toEqual([]);
});
