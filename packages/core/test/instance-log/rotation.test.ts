import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync, readFileSync, readSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as tick } from 'node:timers/promises';
import { systemClock } from '@mgpu/core';
import { describe, expect, onTestFinished, test } from 'vitest';
import { eventually, fixture, seeded, temporaryFolder } from '../support.ts';
import {
  archivesOf,
  canCollapse,
  expectNumbers,
  filesOf,
  followNumbers,
  kept,
  type Place,
  place,
  writerOf,
} from './support.ts';

describe.skipIf(!canCollapse)('a log on a file system that can take out the head of a file', () => {
  test('is rotated under its writer and its readers: each finds every line once', async () => {
    const at = place();
    const keeper = await kept(at, { limits: { maxBytes: 2_000_000 } });
    const followers = [followNumbers(at), followNumbers(at)];
    const count = await writerOf(at, { count: 200_000 }).count;
    for (const follower of followers) await follower(count);
    await eventually(() => statSync(at.file).size <= 2_000_000, 'the last rotation');
    await keeper.close();
    expect(archivesOf(at).length).toBeGreaterThan(5);
    await expectNumbers(at, count);
  });

  test('loses and doubles nothing, whenever its keeper is killed', async () => {
    const seed = Number(process.env.MGPU_SEED ?? Date.now() % 1_000_000);
    const kills = Number(process.env.MGPU_KILLS ?? 8);
    const random = seeded(seed);
    const at = place();
    const writer = writerOf(at, { burst: 40, restMs: 1 });
    const follower = followNumbers(at);
    const struck: Record<string, number> = {};
    for (let kill = 0; kill < kills; kill += 1) {
      const keeper = await keeperProcess(at);
      const aim = moments[random(moments.length)];
      while (aim && momentOf(at) !== aim) await tick();
      if (!aim) await systemClock.sleep(random(50));
      keeper.kill('SIGKILL');
      await once(keeper, 'exit');
      const moment = momentOf(at);
      struck[moment] = (struck[moment] ?? 0) + 1;
    }
    console.info(`MGPU_SEED=${seed} MGPU_KILLS=${kills}; killed while the head was: ${JSON.stringify(struck)}`);
    writer.end();
    const count = await writer.count;
    const keeper = await kept(at, { isWritten: true, limits: { maxBytes: 300_000 } });
    await follower(count);
    await keeper.close();
    await expectNumbers(at, count);
    expect(archivesOf(at)).not.toEqual([]);
    expect(filesOf(at).filter((name) => /\.(part|cut|\d+)$/.test(name))).toEqual([]);
  });

  test.each([
    ['before it has the lock', 'flock', 'exec /usr/bin/flock "$@"'],
    ['with the file open', 'fallocate', 'exec /usr/bin/fallocate --collapse-range --length "$5" /proc/self/fd/9'],
  ])('is not cut twice when the program that cuts it is overtaken %s', async (_, name, command) => {
    const at = place();
    const programs = temporaryFolder();
    const slow = join(programs, name);
    const env = { ...process.env, PATH: `${programs}:${process.env.PATH}` };
    const writer = writerOf(at, { burst: 40, restMs: 1 });
    for (let kill = 1; kill <= 2; kill += 1) {
      const keeper = await keeperProcess(at, env);
      const before = archivesOf(at).length;
      // Not at once: it finds out first what the disk can.
      await eventually(() => archivesOf(at).length > before, 'a rotation');
      const open = name === 'fallocate' ? 'exec 9<>"$6"' : '';
      writeFileSync(slow, `#!/bin/sh\n${open}\n: >"$0-${kill}"\nsleep 1\n${command}\n`, { mode: 0o755 });
      await eventually(() => existsSync(`${slow}-${kill}`), 'the cut');
      keeper.kill('SIGKILL');
      await once(keeper, 'exit');
      rmSync(slow);
    }
    writer.end();
    const count = await writer.count;
    const keeper = await kept(at, { isWritten: true, limits: { maxBytes: 300_000 } });
    await expectNumbers(at, count);
    await keeper.close();
    await expectNumbers(at, count);
  });
});

async function keeperProcess({ file, root }: Place, env = process.env): Promise<ChildProcess> {
  const [program = '', ...args] = fixture('keeps-log.mjs', file, root, 300_000).args;
  const keeper = fork(program, args, { env });
  onTestFinished(() => void keeper.kill('SIGKILL'));
  await once(keeper, 'message');
  return keeper;
}

function headOf(file: string): string {
  const descriptor = openSync(file, 'r');
  const head = Buffer.alloc(8);
  readSync(descriptor, head, 0, head.length, 0);
  closeSync(descriptor);
  return head.toString();
}

const moments = ['', 'being copied', 'copied', 'marked', 'gone'];

/** How far a cut has come. */
function momentOf({ file, root }: Place): string {
  const journal = existsSync(`${file}.journal`) ? JSON.parse(readFileSync(`${file}.journal`, 'utf8')) : {};
  if (journal.cut?.stage === 'copied') return 'copied';
  if (journal.cut?.stage === 'marked') {
    return headOf(file) === 'mgpu cut' ? 'marked' : 'gone';
  }
  return filesOf({ file, root }).some((name) => name.endsWith('.part')) ? 'being copied' : 'whole';
}
