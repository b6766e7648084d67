import { appendFileSync, chmodSync, readFileSync, renameSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { listProcesses, systemClock } from '@mgpu/core';
import { type FakeClock, fakeClock, temporaryFolder } from '@mgpu/core/testing';
import { describe, expect, test } from 'vitest';
import { type KernelLogOptions, kernelEvents, type TimedKernelEvent } from '../src/sources/kernel-log/kernel-events.ts';
import { eventually, keptLog } from './support.ts';

const xid = (code: number, pid = 7) => `[ 100.5] NVRM: Xid (PCI:0000:01:00): ${code}, pid=${pid}, name=python3, text\n`;

/** Follows in the background, with all it has told so far. */
function following(options: Partial<KernelLogOptions> & { path?: string }) {
  const clock = (options.clock as FakeClock) ?? fakeClock();
  const stop = new AbortController();
  const { log, lines } = keptLog();
  const events: TimedKernelEvent[] = [];
  const ended = (async () => {
    for await (const event of kernelEvents({ log, signal: stop.signal, env: process.env, ...options, clock }))
      events.push(event);
  })();
  const told = () => events.map((each) => (each.type === 'xid' ? each.xid : each.type));
  return {
    clock,
    lines,
    events,
    told,
    ended,
    until: (...wanted: (number | 'oom-kill')[]) =>
      eventually(() => wanted.every((each) => told().includes(each)), systemClock),
    async [Symbol.asyncDispose]() {
      stop.abort();
      await ended;
    },
  };
}

/** Helpers that have this file in their command line. */
const helpersOf = (path: string) =>
  listProcesses().filter(({ pid }) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(path) && pid !== process.pid;
    } catch {
      return false; // ended meanwhile
    }
  });

describe('a file in place of the kernel log', () => {
  test('is followed from where it ends', async () => {
    using folder = temporaryFolder();
    const path = join(folder.path, 'kern.log');
    writeFileSync(path, xid(48));
    await using log = following({ path });
    appendFileSync(path, xid(31));
    await log.until(31);
    appendFileSync(path, 'nothing of interest\nOut of memory: Killed process 91 (postgres) total-vm:1000kB\n');
    await log.until('oom-kill');
    expect(log.told()).toEqual([31, 'oom-kill']);
    expect(log.events[0]).toMatchObject({ at: log.clock.elapsed(), bus: '0000:01:00', pid: 7 });
  });

  test('need not be there yet, and is followed through rotation and truncation', async () => {
    using folder = temporaryFolder();
    const path = join(folder.path, 'kern.log');
    await using log = following({ path });
    writeFileSync(path, xid(13));
    await log.until(13);
    renameSync(path, `${path}.1`);
    writeFileSync(path, xid(31));
    await log.until(31);
    truncateSync(path);
    // Shorter than before: else nobody could tell that it was cut.
    appendFileSync(path, 'NVRM: Xid (PCI:0000:01:00): 43, x\n');
    await log.until(43);
    expect(log.told()).toEqual([13, 31, 43]);
  });

  test('in a storm gives each thing once a minute', async () => {
    using folder = temporaryFolder();
    const path = join(folder.path, 'kern.log');
    await using log = following({ path });
    writeFileSync(path, xid(31).repeat(10_000) + xid(79));
    await log.until(79);
    expect(log.told()).toEqual([31, 79]);
    await log.clock.advance(60_000);
    appendFileSync(path, xid(31));
    await eventually(() => log.events.length === 3, systemClock);
  });

  test('of one kind hides none of another', async () => {
    using folder = temporaryFolder();
    const path = join(folder.path, 'kern.log');
    await using log = following({ path });
    const kills = Array.from(
      { length: 100 },
      (_, pid) => `Out of memory: Killed process ${pid + 1} (node) total-vm:1kB\n`,
    );
    writeFileSync(path, kills.join('') + xid(79));
    await log.until(79);
    expect(log.told()).toEqual([...Array(64).fill('oom-kill'), 79]);
  });

  test('is opened again when its reader ends', async () => {
    using folder = temporaryFolder();
    const path = join(folder.path, 'kern.log');
    writeFileSync(path, '');
    await using log = following({ path });
    appendFileSync(path, xid(13));
    await log.until(13);
    for (const { pid } of helpersOf(path)) process.kill(pid, 'SIGKILL');
    await eventually(() => log.clock.sleepers === 1, systemClock);
    expect(log.lines).toEqual([expect.stringMatching(/^warn: tail ended while it read .*; it is started again$/)]);
    await log.clock.advance(1_000);
    await eventually(() => helpersOf(path).length > 0, systemClock);
    appendFileSync(path, xid(31));
    await log.until(31);
    expect(log.told()).toEqual([13, 31]);
  });

  test('leaves no helper behind', async () => {
    using folder = temporaryFolder();
    const path = join(folder.path, 'kern.log');
    writeFileSync(path, '');
    {
      await using log = following({ path });
      appendFileSync(path, xid(13));
      await log.until(13);
      expect(helpersOf(path)).not.toEqual([]);
    }
    await eventually(() => helpersOf(path).length === 0, systemClock);
  });
});

describe("the kernel's own log", () => {
  test('that nobody may read is said once, and the machine goes on without it', async () => {
    using folder = temporaryFolder();
    for (const name of ['cat', 'dmesg', 'journalctl']) {
      const program = join(folder.path, name);
      writeFileSync(program, `#!/bin/sh\necho "${name}: Operation not permitted" >&2\nexit 1\n`);
      chmodSync(program, 0o755);
    }
    await using log = following({ env: { PATH: `${folder.path}:/usr/bin:/bin` } });
    await log.ended;
    expect(log.lines).toHaveLength(1);
    expect(log.lines[0]).toMatch(/^warn: the kernel's log cannot be read, .*journalctl: Operation not permitted$/);
  });

  // It writes a line that looks like a fault into the log of the whole machine.
  test.skipIf(!process.env.MGPU_TEST_KERNEL_LOG)('tells what comes, not what was (MGPU_TEST_KERNEL_LOG)', async () => {
    const bus = `0000:${(process.pid % 251).toString(16).padStart(2, '0')}:1f`;
    const write = (pid: number) =>
      writeFileSync('/dev/kmsg', `<7>NVRM: Xid (PCI:${bus}): 999, pid=${pid}, name=mgpu-test,\n`);
    write(1);
    await using log = following({});
    write(2);
    const mine = () => log.events.filter((each) => each.type === 'xid' && each.bus === bus);
    await eventually(() => mine().length > 0, systemClock);
    expect(mine()).toMatchObject([{ xid: 999, pid: 2, name: 'mgpu-test' }]);
  });
});
