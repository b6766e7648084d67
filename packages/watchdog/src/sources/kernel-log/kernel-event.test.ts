import { describe, expect, test } from 'vitest';
import { type KernelEvent, kernelLineParser, kernelSeconds } from './kernel-event.ts';
import { stormFilter } from './storm-filter.ts';

// Lines as NVIDIA's documentation and public reports print them; none was recorded on a device of ours.
const read = (...lines: string[]): (KernelEvent | undefined)[] => lines.map(kernelLineParser());

describe('a line of the kernel', () => {
  test.each<[string, Partial<KernelEvent>]>([
    [
      "[111111111.111] NVRM: Xid (PCI:0000:05:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus.",
      { type: 'xid', bus: '0000:05:00', xid: 79 },
    ],
    ['NVRM: Xid (PCI:0000:01:00): 79, GPU has fallen off the bus.', { type: 'xid', bus: '0000:01:00', xid: 79 }],
    ['[ 12.5] NVRM: Xid (0000:03:00): 14, Channel 00000001', { type: 'xid', bus: '0000:03:00', xid: 14 }],
    [
      'NVRM: Xid (PCI:0000:9b:00): 119, pid=430, name=nv_queue, Timeout waiting for RPC from GSP!',
      { type: 'xid', bus: '0000:9b:00', xid: 119, pid: 430, name: 'nv_queue' },
    ],
    [
      '[  130.456250] [  T1946] NVRM: Xid (PCI:0000:3b:00): 13, pid=4711, name=python3, Graphics SM Warp Exception',
      { type: 'xid', bus: '0000:3b:00', xid: 13, pid: 4711, name: 'python3' },
    ],
    [
      'Dec  6 17:49:03 host kernel: [ 8659.726062] NVRM: Xid (PCI:0000:01:00): 31, pid=7, name=, Ch 00000008',
      { type: 'xid', bus: '0000:01:00', xid: 31, pid: 7 },
    ],
    [
      'NVRM: Xid (PCI:0000:c1:00 GPU-I:05): 43, pid=9, name=python',
      { type: 'xid', bus: '0000:c1:00', xid: 43, pid: 9 },
    ],
    [
      '3,1234,8659726062,-;NVRM: Xid (PCI:0018:01:00): 149, NETIR_BER_EVENT Nonfatal XC0 i0 Link 03 (0x00086226 0x00000001)',
      { type: 'xid', bus: '0018:01:00', xid: 149, nvlink: { unit: 'NETIR_BER_EVENT', fatal: false, link: 3 } },
    ],
    [
      'NVRM: Xid (PCI:0018:01:00): 149, NETIR_INT  Fatal   XC0 i0 Link -1 (0x0000000a)',
      { type: 'xid', xid: 149, nvlink: { unit: 'NETIR_INT', fatal: true, link: -1 } },
    ],
    [
      'NVRM: Xid (PCI:0000:01:00): 154, GPU recovery action changed from 0x0 (None) to 0x2 (Node Reboot Required)',
      { type: 'xid', bus: '0000:01:00', xid: 154, recovery: 2 },
    ],
    ['NVRM: GPU 0000:01:00.0: GPU has fallen off the bus.', { type: 'xid', bus: '0000:01:00', xid: 79 }],
    ['NVRM: GPU at 0000:01:00.0 has fallen off the bus.', { type: 'xid', bus: '0000:01:00', xid: 79 }],
    [
      '[ 510.9] Memory cgroup out of memory: Killed process 2343 (python3) total-vm:31763532kB, anon-rss:13928044kB, UID:0',
      { type: 'oom-kill', pid: 2343, name: 'python3', limit: 'cgroup' },
    ],
    [
      'Out of memory: Killed process 91 (postgres) total-vm:1000kB',
      { type: 'oom-kill', pid: 91, name: 'postgres', limit: 'machine' },
    ],
    ['Out of memory: Kill process 1234 (chrome) score 850 or sacrifice child', { type: 'oom-kill', pid: 1234 }],
    ['Killed process 1234 (chrome) total-vm:2345678kB, anon-rss:1kB', { type: 'oom-kill', limit: 'machine' }],
  ])('%s', (line, event) => {
    expect(read(line)).toMatchObject([{ ...event, line }]);
  });

  test('may be the last of those that say one thing together', () => {
    const lines = [
      'NVRM: The NVIDIA GPU 0000:41:00.0',
      'NVRM: (PCI ID: 10de:2204) installed in this system has',
      'NVRM: fallen off the bus and is not responding to commands.',
    ];
    expect(read(...lines)).toEqual([undefined, undefined, { type: 'xid', bus: '0000:41:00', xid: 79, line: lines[2] }]);
    expect(read(lines[0] ?? '', 'a', 'b', 'c', 'd', lines[2] ?? '').filter(Boolean)).toEqual([]);
    expect(read(lines.join('\\x0a'))).toMatchObject([{ xid: 79, bus: '0000:41:00' }]);
  });

  test.each([
    'NVRM: Xid error: xyz, invalid data',
    'NVRM: Xid (invalid): some error',
    'NVRM: loading NVIDIA UNIX x86_64 Kernel Module  580.95.05',
    'python3 invoked oom-killer: gfp_mask=0x100cca, order=0',
    '',
  ])('may say nothing: %s', (line) => {
    expect(read(line)).toEqual([undefined]);
  });

  test('has a time in most forms', () => {
    expect(kernelSeconds('6,342,1306765,-;tokio-rt-worker (70): drop_caches: 3')).toBe(1.306765);
    expect(kernelSeconds('[    1.306765] drop_caches: 3')).toBe(1.306765);
    expect(kernelSeconds('[  130.456250] [  T1946] NVRM: x')).toBe(130.45625);
    expect(kernelSeconds('Dec  6 17:49:03 host kernel: [ 8659.726062] x')).toBe(8659.726062);
    expect(kernelSeconds('NVRM: [x] 1.5')).toBeUndefined();
  });
});

describe('a storm', () => {
  test('of ten thousand lines is one event a minute', () => {
    const isNew = stormFilter();
    const parse = kernelLineParser();
    let passed = 0;
    for (let index = 0; index < 10_000; index++) {
      const event = parse(`NVRM: Xid (PCI:0000:01:00): 31, pid=7, name=python3, Ch 0000000${index % 10}`);
      if (event && isNew(event, index * 5)) passed++;
    }
    expect(passed).toBe(1);
  });

  test('of ten thousand different ones is bounded, and what differs in kind is told', () => {
    const isNew = stormFilter();
    const xid = (pid: number, recovery?: number) =>
      isNew(
        { type: 'xid', bus: '0000:01:00', xid: 154, pid, ...(recovery === undefined ? {} : { recovery }), line: '' },
        0,
      );
    expect([xid(1, 0), xid(1, 2), xid(1, 2)]).toEqual([true, true, false]);
    expect(Array.from({ length: 10_000 }, (_, pid) => xid(pid)).filter(Boolean).length).toBeLessThan(100);
    expect(isNew({ type: 'oom-kill', pid: 1, name: 'x', limit: 'machine', line: '' }, 60_000)).toBe(true);
  });
});
