import { describe, expect, test } from 'vitest';
import { type XidSample, xid } from './xid.ts';

const gpu = 'GPU-aaaa';
const seen = (code: number, more: Partial<XidSample> = {}): XidSample => ({
  at: 0,
  gpu,
  xid: code,
  instance: 'comfyui_gpu0',
  line: `NVRM: Xid (PCI:0000:01:00): ${code}, pid=4711, name=python3`,
  ...more,
});
const minutes = (...samples: XidSample[]) => samples.map((each, index) => ({ ...each, at: index * 5 * 60_000 }));

/** The table of the supervision notes, row by row. */
const actions: Readonly<Record<string, readonly number[]>> = {
  restart: [8, 11, 25, 32, 39, 40, 41, 60, 68, 69, 70, 71, 72, 75, 76, 77, 80, 13, 31, 43, 94, 109, 137],
  'drain-gpu': [46, 62, 110, 136, 143, 155, 156, 158, 119, 120],
  'quarantine-gpu': [48, 171, 172, 54, 64, 78, 79, 95, 140, 151],
  record: [45, 63, 74, 92, 93, 121, 144, 145, 146, 147, 148, 149, 150, 999],
};

describe('an Xid', () => {
  test.each(Object.entries(actions).flatMap(([action, codes]) => codes.map((code) => [code, action] as const)))(
    '%i asks to %s',
    (code, action) => {
      const isOwners = action === 'restart';
      expect(xid([seen(code)])).toMatchObject([
        { rule: 'xid', action, scope: isOwners ? 'process' : 'gpu', subject: isOwners ? 'comfyui_gpu0' : gpu },
      ]);
    },
  );

  test('of an application that nobody owns restarts nobody', () => {
    expect(xid([seen(13, { instance: undefined })])).toMatchObject([{ action: 'record', scope: 'gpu', subject: gpu }]);
  });

  test('of NVLink 5 is as bad as it says', () => {
    expect(xid([seen(145, { nvlinkFatal: true })])).toMatchObject([{ action: 'drain-gpu' }]);
    expect(xid([seen(145, { nvlinkFatal: false })])).toMatchObject([{ action: 'record' }]);
  });

  test.each([43, 45])('%i after a kill of ours is its consequence, for ten seconds', (code) => {
    expect(xid([seen(code, { at: 20_000, killedAt: 10_001 })])).toMatchObject([
      { action: 'record', severity: 'info', reason: expect.stringContaining('consequence of our own kill') },
    ]);
    const late = xid([seen(code, { at: 20_002, killedAt: 10_001 })]);
    expect(late[0]?.reason).not.toContain('consequence');
  });
});

describe('the GPU is suspected', () => {
  test('at the third fault of applications in an hour', () => {
    const faults = minutes(seen(13), seen(31), seen(13));
    expect(xid(faults.slice(0, 2))).toMatchObject([{ action: 'restart' }]);
    expect(xid(faults)).toMatchObject([
      { action: 'restart', subject: 'comfyui_gpu0' },
      { action: 'drain-gpu', subject: gpu, reason: expect.stringContaining('3 faults of one service') },
    ]);
  });

  test('not when they are more than an hour apart', () => {
    const apart = [seen(13), seen(13), seen(13)].map((each, index) => ({ ...each, at: index * 31 * 60_000 }));
    expect(xid(apart)).toMatchObject([{ action: 'restart' }]);
  });

  test('when two services have faults', () => {
    const [, drain] = xid(minutes(seen(13), seen(13, { instance: 'a1111_gpu0' })));
    expect(drain).toMatchObject({ action: 'drain-gpu', reason: expect.stringContaining('faults of 2 services') });
  });

  test('not for what our kills leave behind', () => {
    const left = { killedAt: 0, at: 1_000 };
    expect(xid([seen(13), seen(43, left), seen(45, left), seen(13, { at: 2_000 })])).toMatchObject([
      { action: 'restart' },
    ]);
  });

  test('at the fifth fault that nobody knows', () => {
    const faults = minutes(seen(900), seen(901), seen(902), seen(903), seen(904));
    expect(xid(faults.slice(0, 4))).toMatchObject([{ action: 'record' }]);
    expect(xid(faults)).toMatchObject([{ action: 'drain-gpu', reason: expect.stringContaining('5 unlisted faults') }]);
  });

  test('not for the many that one crash leaves', () => {
    const crash = (at: number) => [seen(13, { at }), seen(31, { at: at + 1 }), seen(69, { at: at + 2 })];
    expect(xid(crash(0))).toMatchObject([{ action: 'restart' }]);
    expect(xid([...crash(0), ...crash(60_000)])).toMatchObject([{ action: 'restart' }]);
    expect(xid([...crash(0), ...crash(60_000), seen(13, { at: 120_000 })])).toMatchObject([
      { action: 'restart' },
      { action: 'drain-gpu', reason: expect.stringContaining('3 faults of one service') },
    ]);
    expect(xid([seen(109), seen(109, { at: 2 })])).toMatchObject([{ action: 'restart' }]);
  });

  test('when 109 is repeated', () => {
    expect(xid(minutes(seen(109), seen(109)))).toMatchObject([{ action: 'drain-gpu' }]);
  });
});

describe("the driver's own verdict", () => {
  test.each([
    [0, 'record', 'no recovery needed'],
    [1, 'drain-gpu', 'GPU reset required'],
    [2, 'quarantine-gpu', 'reboot required'],
    [3, 'record', 'drain of peers required'],
    [4, 'drain-gpu', 'drain and reset required'],
    [9, 'drain-gpu', 'unlisted recovery action 9'],
  ])('%i is obeyed', (recovery, action, text) => {
    expect(xid([seen(154, { recovery })])).toMatchObject([{ action, reason: expect.stringContaining(text) }]);
  });

  test('is about what was before it, never about what comes later', () => {
    const spoken = seen(154, { recovery: 0, at: 1_000 });
    expect(xid([seen(48), spoken])).toMatchObject([{ action: 'record' }]);
    expect(xid([seen(13), spoken, seen(79, { at: 2_000 })])).toMatchObject([{ action: 'quarantine-gpu' }]);
    expect(xid([seen(154, { recovery: 2 }), seen(13, { at: 1_000 })])).toMatchObject([{ action: 'restart' }]);
  });
});
