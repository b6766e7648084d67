import { appendFileSync, mkdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { describe, expect, test } from 'vitest';
import { eventually, program, whenUp } from '../support.ts';
import { archivesOf, canCollapse, kept, linesOf, textsOf } from './support.ts';

const shell = (script: string) => ({ file: '/bin/sh', args: ['-c', script] });

describe('the log of a run', () => {
  test('is kept while it lasts: its times are known, to the last words', async () => {
    const { service } = program({
      spec: shell('trap "echo bye; exit" TERM; echo up; while :; do sleep 0.01; done'),
      probes: whenUp,
    });
    await service.start();
    await service.stop();
    const lines = await linesOf({ root: '', file: service.logFile });
    expect(lines.map(({ text }) => text)).toEqual(['up', 'bye']);
    expect(lines.every(({ earliest, time }) => earliest === undefined && time <= Date.now())).toBe(true);
    expect(statSync(`${service.logFile}.times`).size).toBeGreaterThan(0);
  });

  test.skipIf(!canCollapse)('begins behind what was rotated away', async () => {
    const { service, context } = program({ spec: shell('echo up; exit 3') });
    const at = { root: context.layout.root, file: service.logFile };
    mkdirSync(dirname(at.file), { recursive: true });
    appendFileSync(at.file, 'old words\n'.repeat(40_000));
    const keeper = await kept(at, { limits: { maxBytes: 100_000 } });
    await eventually(() => archivesOf(at).length > 0 && statSync(at.file).size <= 100_000);
    await keeper.close();
    const failed = new Promise((resolve) => service.on('exit', resolve));
    await service.start().catch(() => {}); // it may have ended before
    await failed;
    await eventually(() => service.status.state === 'failed');
    expect(await textsOf(at, { last: 2 })).toEqual(['old words', 'up']);
    expect(service.status.reason).toMatchObject({ details: { lastLines: ['up'] } });
  });
});
