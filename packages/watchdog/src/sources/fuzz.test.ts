import { pciBus } from '@mgpu/core';
import { expect, test } from 'vitest';
import { fieldsOf, kilobytes, parsePressure } from './host-memory.ts';
import { kernelLineParser, kernelSeconds } from './kernel-log/kernel-event.ts';

/** Set `MGPU_FUZZ_SEED` to repeat a run. */
const seed = Number(process.env.MGPU_FUZZ_SEED ?? Date.now() % 1_000_000);
const rounds = 2_000;

function seeded(start: number): (below: number) => number {
  let state = start >>> 0;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** Cut, repeat, overwrite and mix what is right, or make something up. */
function spoiler(examples: readonly string[]): () => string {
  const random = seeded(seed);
  const noise = (length: number) =>
    String.fromCharCode(...Array.from({ length }, () => random(random(8) ? 128 : 65_536)));
  const example = () => examples[random(examples.length)] ?? '';
  const ways: (() => string)[] = [
    () => example().slice(0, random(200)),
    () => example().slice(random(200)),
    () => example().repeat(1 + random(300)),
    () => `${example()}\n${example().replaceAll(/[,:(]/g, () => noise(1))}`,
    () => example().replaceAll(/\d/g, () => String(random(10 ** random(12)))),
    () => noise(random(2_000)),
    () => `${example().slice(0, random(60))}${noise(random(50))}${example().slice(random(60))}`,
  ];
  return () => (ways[random(ways.length)] as () => string)();
}

const kernelLines = [
  "[1.1] NVRM: Xid (PCI:0000:05:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus.",
  '3,1,8659726062,-;NVRM: Xid (PCI:0018:01:00): 149, NETIR_BER_EVENT Nonfatal XC0 i0 Link 03 (0x00086226)',
  'NVRM: Xid (PCI:0000:01:00): 154, GPU recovery action changed from 0x0 (None) to 0x2 (Node Reboot Required)',
  'NVRM: The NVIDIA GPU 0000:41:00.0',
  'NVRM: fallen off the bus and is not responding to commands.',
  'Memory cgroup out of memory: Killed process 2343 (python3) total-vm:31763532kB',
];
const proc = [
  'MemTotal:       24684096 kB\nMemAvailable:   24050856 kB\n',
  'some avg10=0.00 avg60=0.00 avg300=0.00 total=0\nfull avg10=1.50 avg60=0.00 avg300=0.00 total=0\n',
];

test(`the kernel's lines never throw, and what they give is bounded (seed ${seed})`, () => {
  const spoil = spoiler(kernelLines);
  const parse = kernelLineParser();
  for (let round = 0; round < rounds; round++) {
    const text = spoil();
    const event = parse(text);
    const seconds = kernelSeconds(text);
    expect(seconds === undefined || Number.isFinite(seconds)).toBe(true);
    if (!event) continue;
    expect(JSON.stringify(event).length).toBeLessThan(4_000);
    expect(Number.isSafeInteger(event.type === 'xid' ? event.xid : event.pid)).toBe(true);
    if (event.type === 'xid') expect(event.bus).toMatch(/^[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}$/);
  }
});

test(`files of /proc never throw (seed ${seed})`, () => {
  const spoil = spoiler(proc);
  for (let round = 0; round < rounds; round++) {
    const text = spoil();
    for (const value of fieldsOf(text).values()) kilobytes(value);
    const pressure = parsePressure(text);
    expect(pressure === undefined || Number.isFinite(pressure.some + pressure.full)).toBe(true);
    pciBus(text);
  }
});
