import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { bench, fixture, isReady } from './machine.ts';

const engine = 'engine_gpu0';
const countOf = (layout: { instance(id: string): string }) =>
  Number(readFileSync(join(layout.instance(engine), 'restart_count'), 'utf8'));

describe('a crash', () => {
  test('is answered by a restart at once, counted, and told', async () => {
    const { until, pidOf, layout, incidents } = await bench();
    const pid = pidOf(engine);
    process.kill(pid, 'SIGKILL');
    const again = await until(engine, (status) => isReady(status) && status.pid !== pid);
    expect(again.attempt).toBe(1);
    expect(countOf(layout)).toBe(1);
    await expect
      .poll(async () => (await incidents(engine)).at(-1)?.actions.map(({ what }) => what))
      .toEqual(['restarted at once (failure 1 of 5 in 10 min)', expect.stringMatching(/^ready again after [\d.]+ s$/)]);
    expect((await incidents(engine))[0]).toMatchObject({
      subject: engine,
      gpu: 0,
      cause: { code: 'CORE_PROCESS_EXITED' },
      lastWords: [`up ${pid}`],
      evidence: expect.arrayContaining([
        expect.objectContaining({ text: `${engine} was killed, and not by us (signal SIGKILL)` }),
      ]),
    });
  });

  test('again and again is given up, and a start by hand begins anew', async () => {
    const { until, orchestrator, lines, incidents } = await bench({
      engine: { command: () => fixture('fails.mjs', '1', 'no such model') },
      config: { coolOffMs: 'off' },
    });
    const status = await until(engine, ({ state, until: next, reason }) => {
      return state === 'failed' && next === undefined && /given up/.test(reason?.message ?? '');
    });
    expect(status).toMatchObject({ desired: 'up', attempt: 4 });
    expect(lines).toContainEqual(`error ${engine} is given up: given up after 5 failures in 10 min`);
    await expect.poll(() => incidents(engine)).toHaveLength(5);
    await expect(orchestrator.startInstance(engine)).rejects.toMatchObject({ code: 'CORE_PROCESS_EXITED' });
    await until(engine, ({ attempt, reason }) => attempt > 0 && /given up/.test(reason?.message ?? ''));
  });

  test('is tried again after the cool-off, which counts as well', async () => {
    const { until, layout } = await bench({
      engine: { command: () => fixture('fails.mjs', '1', 'no') },
      config: { coolOffMs: 20, defaults: { attempts: 1 } },
    });
    await until(engine, ({ state, attempt }) => state === 'failed' && attempt >= 3);
    expect(countOf(layout)).toBeGreaterThanOrEqual(3);
  });

  test('for a wrong configuration is not answered', async () => {
    const { until } = await bench({ engine: { command: () => fixture('fails.mjs', '78', 'no such flag') } });
    const { reason } = await until(
      engine,
      ({ state, reason: why }) => state === 'failed' && /78/.test(why?.message ?? ''),
    );
    expect(reason?.message).toMatch(/exit code 78 says that its configuration is wrong$/);
  });
});

describe('restart_enabled', () => {
  const flagOf = (layout: { instance(id: string): string }) => join(layout.instance(engine), 'restart_enabled');

  test('is there while it is wanted, and goes with a stop by hand', async () => {
    const { orchestrator, layout } = await bench();
    expect(existsSync(flagOf(layout))).toBe(true);
    await orchestrator.stopInstance(engine);
    expect(existsSync(flagOf(layout))).toBe(false);
    await orchestrator.startInstance(engine);
    expect(existsSync(flagOf(layout))).toBe(true);
    await orchestrator.stop();
    expect(existsSync(flagOf(layout))).toBe(false);
  });

  test('removed while it runs forbids a restart, and touched brings it back', async () => {
    const { until, pidOf, layout } = await bench();
    const pid = pidOf(engine);
    rmSync(flagOf(layout));
    process.kill(pid, 'SIGKILL');
    const { reason } = await until(engine, ({ state, until: next }) => state === 'failed' && next === undefined);
    expect(reason?.message).toMatch(/restart_enabled is not there$/);
    writeFileSync(flagOf(layout), '');
    await until(engine, (status) => isReady(status) && status.pid !== pid);
    expect(countOf(layout)).toBe(1);
  });

  test('removed while it waits for its restart calls that off', async () => {
    const { until, layout } = await bench({
      engine: { command: () => fixture('fails.mjs', '1', 'no') },
      supervision: { backoff: { baseMs: 60_000 } },
    });
    await until(engine, ({ state }) => state === 'backoff');
    rmSync(flagOf(layout));
    const { reason, until: next } = await until(engine, ({ state }) => state === 'failed');
    expect(reason).toMatchObject({ code: 'WATCHDOG_RESTART_DISABLED' });
    expect(next).toBeUndefined();
  });
});
