import { mkdirSync, readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type BootPhase, type BootReport, BootTrace, keepBoot, mockGpus, type Run } from '@mgpu/core';
import { fakeClock, record } from '@mgpu/core/testing';
import { describe, expect, test } from 'vitest';
import { broken, eventually, failureOf, temporaryFolder } from '../support.ts';
import { machine, statesOf, untilCancelled, workshop } from './machine.ts';

describe('a boot', () => {
  test('starts at the same time what does not depend on each other', async () => {
    const { define, journal } = workshop();
    let waiting = 0;
    const all = Promise.withResolvers<void>();
    const onStart = () => {
      if (++waiting === 5) all.resolve();
      return all.promise;
    };
    await machine([define('a', { onStart }), define('b', { scope: 'gpu', onStart })], { gpus: mockGpus(4) }).start();
    expect(journal.slice(0, 5).every((each) => each.startsWith('start '))).toBe(true);
  });

  test('starts nothing before what it waits for is ready', async () => {
    const { define, journal } = workshop();
    await machine([
      define('c', { dependsOn: [{ on: 'b', when: 'ready' }] }),
      define('b', { dependsOn: [{ on: 'a', when: 'ready' }] }),
      define('a'),
    ]).start();
    expect(journal).toEqual(['start a', 'ready a', 'start b', 'ready b', 'start c', 'ready c']);
  });

  test('lets "started" go on while the other still warms up', async () => {
    const { define, journal } = workshop();
    const warm = Promise.withResolvers<void>();
    await machine([
      define('a', { onStart: () => warm.promise }),
      define('b', { dependsOn: [{ on: 'a', when: 'started' }], onStart: () => warm.resolve() }),
    ]).start();
    expect(journal.slice(0, 2)).toEqual(['start a', 'start b']);
  });

  test.each([
    ['comes to its end', (run: Run) => run.complete()],
    ['fails', () => Promise.reject(new Error('no'))],
  ])('lets "settled" wait for a one-shot that %s', async (_, onStart) => {
    const { define, journal } = workshop();
    await machine([
      define('sync', { onStart, critical: false }),
      define('engine', { dependsOn: [{ on: 'sync', when: 'settled' }] }),
    ]).start();
    expect(journal).toEqual(['start sync', 'end sync', 'start engine', 'ready engine']);
  });

  test.each([
    ['is done', async () => {}],
    ['has failed', () => Promise.reject(new Error('no'))],
  ])('lets "installed" wait until an installation %s, and for nothing more', async (_, end) => {
    const { define } = workshop();
    const linked = Promise.withResolvers<boolean>();
    let isOver = false;
    const boot = machine([
      define('links', { dependsOn: [{ on: 'engine', when: 'installed' }], onStart: () => linked.resolve(isOver) }),
      define('engine', {
        scope: 'gpu',
        critical: false,
        install: async () => {
          await new Promise((resolve) => setImmediate(resolve));
          isOver = true;
          await end();
        },
        onStart: () => linked.promise.then(() => {}),
      }),
    ]);
    await boot.start();
    expect(await linked.promise).toBe(true);
    expect(statesOf(boot)).toMatchObject({ links: 'running' });
  });

  test('lets "completed" wait for the end of a one-shot', async () => {
    const { define, journal } = workshop();
    await machine([
      define('sync', { onStart: (run) => void setImmediate(() => run.complete()) }),
      define('engine', { dependsOn: [{ on: 'sync', when: 'completed' }] }),
    ]).start();
    expect(journal).toEqual(['start sync', 'ready sync', 'end sync', 'start engine', 'ready engine']);
  });

  test('waits for the service on the same GPU only', async () => {
    const { define, journal } = workshop();
    const slow = Promise.withResolvers<void>();
    await machine([
      define('engine', { scope: 'gpu', onStart: (_, id) => (id === 'engine_gpu0' ? slow.promise : undefined) }),
      define('worker', {
        scope: 'gpu',
        dependsOn: [{ on: 'engine', when: 'ready' }],
        onStart: (_, id) => (id === 'worker_gpu1' ? slow.resolve() : undefined),
      }),
    ]).start();
    expect(journal.indexOf('start worker_gpu1')).toBeLessThan(journal.indexOf('ready engine_gpu0'));
  });

  test('installs once per kind, before its instances and beside everything else', async () => {
    const { define, journal } = workshop();
    await machine([
      define('engine', { scope: 'gpu', install: async () => {} }),
      define('other', { install: async () => {} }),
    ]).start();
    expect(journal.slice(0, 2).toSorted()).toEqual(['install engine', 'install other']);
    expect(journal.filter((each) => each === 'install engine')).toHaveLength(1);
    expect(journal.indexOf('start engine_gpu0')).toBeGreaterThan(journal.indexOf('installed engine'));
  });

  test('is kept as a trace: phases, steps, times, and what was waited for', async () => {
    const { define } = workshop();
    const clock = fakeClock();
    const orchestrator = machine(
      [
        define('redis', { phase: 'Redis', onStart: () => clock.sleep(100) }),
        define('engine', {
          scope: 'gpu',
          phase: 'Engines',
          critical: false,
          install: () => clock.sleep(50),
          onStart: (_, id) => clock.sleep(id === 'engine_gpu0' ? 10 : 200),
        }),
        define('worker', {
          phase: 'Workers',
          dependsOn: [
            { on: 'redis', when: 'ready' },
            { on: 'engine', when: 'ready' },
          ],
        }),
      ],
      { clock },
    );
    const boot = orchestrator.start();
    await eventually(() => clock.sleepers > 0, 'the first step');
    await clock.advance(1_000);
    const report = await boot;
    const ok = { outcome: 'ok' };
    expect(report).toEqual({
      v: 1,
      daemonRun: 'run',
      startedAt: '2026-01-01T00:00:00.000Z',
      totalMs: 250,
      outcome: 'ok',
      phases: [
        {
          name: 'Redis',
          critical: true,
          startedMs: 0,
          ms: 100,
          ...ok,
          nodes: [{ id: 'redis:start', critical: true, startedMs: 0, ms: 100, ...ok }],
        },
        {
          name: 'Engines setup',
          critical: false,
          startedMs: 0,
          ms: 50,
          ...ok,
          nodes: [{ id: 'engine:install', critical: false, startedMs: 0, ms: 50, ...ok }],
        },
        {
          name: 'Engines',
          critical: false,
          startedMs: 50,
          ms: 200,
          ...ok,
          nodes: [
            { id: 'engine_gpu0:start', startedMs: 50, ms: 10, waitedFor: 'engine:install', critical: false, ...ok },
            { id: 'engine_gpu1:start', startedMs: 50, ms: 200, waitedFor: 'engine:install', critical: false, ...ok },
          ],
        },
        {
          name: 'Workers',
          critical: true,
          startedMs: 250,
          ms: 0,
          ...ok,
          nodes: [{ id: 'worker:start', critical: true, startedMs: 250, ms: 0, ...ok, waitedFor: 'engine_gpu1' }],
        },
      ],
    });
    expect(JSON.parse(JSON.stringify(orchestrator.boot))).toEqual(report);
  });

  test('tells when a phase begins and when it ends', async () => {
    const { define } = workshop();
    const orchestrator = machine([define('engine', { scope: 'gpu', phase: 'Engines' })]);
    using phases = record<BootPhase>(orchestrator, 'phase');
    await orchestrator.start();
    expect(phases.events.map(({ name, outcome, nodes }) => [name, outcome, nodes.length])).toEqual([
      ['Engines', 'running', 0],
      ['Engines', 'ok', 2],
    ]);
  });

  test('keeps the traces of the latest 50', async () => {
    const stateDir = temporaryFolder();
    mkdirSync(join(stateDir, 'boots'));
    for (let n = 0; n < 60; n++) {
      const file = join(stateDir, 'boots', `${n}.json`);
      writeFileSync(file, '{}');
      utimesSync(file, 1_000 + n, 1_000 + n);
    }
    const path = await keepBoot(stateDir, new BootTrace({ daemonRun: 'this', clock: fakeClock() }).report());
    const kept = readdirSync(join(stateDir, 'boots'));
    expect(kept).toHaveLength(50);
    expect(kept).toEqual(expect.arrayContaining(['this.json', '59.json', '11.json']));
    expect(JSON.parse(readFileSync(path, 'utf8'))).toMatchObject({ v: 1, daemonRun: 'this' });
  });

  test('is shared by those who ask at the same time, and done anew after a stop', async () => {
    const { define, journal } = workshop();
    const orchestrator = machine([define('a')]);
    await Promise.all([orchestrator.start(), orchestrator.start()]);
    await orchestrator.stop();
    const report = await orchestrator.start();
    expect(journal).toEqual(['start a', 'ready a', 'end a', 'start a', 'ready a']);
    expect(report.phases).toMatchObject([{ outcome: 'ok', nodes: [{ id: 'a:start' }] }]);
  });
});

describe('verification', () => {
  const phase = ({ phases }: BootReport) => phases.find(({ name }) => name === 'verification');

  test('tries out what has come up, as soon as it has, and what knows no way not at all', async () => {
    const { define, journal } = workshop();
    const slow = Promise.withResolvers<void>();
    const report = await machine([
      define('engine', {
        scope: 'gpu',
        onVerify: async (_, id) => {
          if (id === 'engine_gpu1') slow.resolve();
          return true;
        },
      }),
      define('proxy', { onStart: () => slow.promise }),
    ]).start();
    expect(journal).toContain('verify engine_gpu0');
    expect(journal.indexOf('verify engine_gpu1')).toBeLessThan(journal.indexOf('ready proxy'));
    expect(phase(report)).toMatchObject({ outcome: 'ok', critical: false });
    expect(
      phase(report)
        ?.nodes.map(({ id }) => id)
        .toSorted(),
    ).toEqual(['engine_gpu0:verify', 'engine_gpu1:verify']);
  });

  test('names what does not do its work, which leaves a degraded machine', async () => {
    const { define } = workshop();
    const orchestrator = machine([
      define('engine', {
        scope: 'gpu',
        onVerify: async (_, id) => {
          if (id === 'engine_gpu1') throw broken('its picture is empty');
          return true;
        },
      }),
    ]);
    const report = await orchestrator.start();
    expect(report.outcome).toBe('degraded');
    const message = 'engine_gpu1 was tried out and did not do its work: its picture is empty';
    expect(phase(report)?.nodes).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ id: 'engine_gpu0:verify', outcome: 'ok' }),
        expect.objectContaining({
          id: 'engine_gpu1:verify',
          outcome: 'failed',
          error: expect.objectContaining({ code: 'CORE_VERIFICATION_FAILED', message }),
        }),
      ]),
    );
    expect(orchestrator.status().map(({ state, health }) => [state, health])).toEqual([
      ['running', 'ready'],
      ['running', 'degraded'],
    ]);
    expect(orchestrator.status()[1]?.reason?.message).toBe(message);
    await orchestrator.restart('engine_gpu1');
    expect(orchestrator.status()[1]).toMatchObject({ state: 'running', health: 'ready' });
  });

  test('says nothing of one that is busy with the work of others', async () => {
    const { define } = workshop();
    const orchestrator = machine([define('engine', { onVerify: async () => false })]);
    const report = await orchestrator.start();
    expect(report.outcome).toBe('ok');
    expect(phase(report)?.nodes).toMatchObject([{ id: 'engine:verify', outcome: 'ok' }]);
    expect(orchestrator.status()[0]).toMatchObject({ state: 'running', health: 'ready' });
  });

  test('is left out for what did not come up', async () => {
    const { define } = workshop();
    const onStart = () => Promise.reject(broken('no checkout'));
    const report = await machine([define('engine', { critical: false, onStart, onVerify: async () => true })]).start();
    expect(phase(report)?.nodes).toMatchObject([{ id: 'engine:verify', outcome: 'skipped' }]);
    expect(phase(report)?.nodes[0]?.error?.message).toContain('no checkout');
  });

  test('that takes too long is a failure, and a stop ends it', async () => {
    const { define } = workshop();
    const clock = fakeClock();
    const begun = Promise.withResolvers<void>();
    const onVerify = (signal: AbortSignal) => {
      begun.resolve();
      return new Promise<boolean>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    };
    const orchestrator = machine([define('engine', { onVerify })], { clock });
    const boot = orchestrator.start();
    await begun.promise;
    await clock.advance(120_000);
    expect(phase(await boot)?.nodes[0]).toMatchObject({ outcome: 'failed' });

    const other = machine([define('engine', { onVerify })]);
    using phases = record<BootPhase>(other, 'phase');
    const cancelled = other.start();
    await phases.until(({ name }) => name === 'verification');
    await other.stop();
    expect(await failureOf(cancelled)).toMatchObject({ code: 'CORE_START_ABORTED' });
  });
});

describe('a failure that is not critical', () => {
  const build = (when: 'ready' | 'started' | 'completed' = 'ready') => {
    const { define, journal } = workshop();
    const orchestrator = machine([
      define('proxy', {
        critical: false,
        onStart: () => {
          throw broken('no certificate');
        },
      }),
      define('site', { critical: false, dependsOn: [{ on: 'proxy', when }] }),
      define('page', { critical: false, dependsOn: [{ on: 'site', when: 'started' }] }),
      define('engine'),
    ]);
    return { orchestrator, journal };
  };

  test('lets the boot go on without what depends on it, which says why', async () => {
    const { orchestrator } = build();
    const report = await orchestrator.start();
    expect(statesOf(orchestrator)).toEqual({ proxy: 'failed', site: 'blocked', page: 'blocked', engine: 'running' });
    expect(orchestrator.status()[1]?.reason).toMatchObject({
      code: 'CORE_DEPENDENCY_FAILED',
      message: 'site was not started because proxy failed',
      cause: { code: 'TEST_BROKEN', message: 'no certificate' },
    });
    expect(report.outcome).toBe('degraded');
    expect(report.phases.map(({ name, outcome }) => `${name} ${outcome}`).toSorted()).toEqual([
      'engine ok',
      'page skipped',
      'proxy failed',
      'site skipped',
    ]);
  });

  test('blocks what waited for the other to complete', async () => {
    const { orchestrator } = build('completed');
    await orchestrator.start();
    expect(statesOf(orchestrator)).toMatchObject({ proxy: 'failed', site: 'blocked', engine: 'running' });
  });

  test('of an install keeps its instances from starting', async () => {
    const { define, journal } = workshop();
    const install = () => Promise.reject(broken('no space'));
    const orchestrator = machine([define('engine', { scope: 'gpu', critical: false, install }), define('other')]);
    await orchestrator.start();
    expect(journal).toEqual(['install engine', 'start other', 'ready other']);
    expect(orchestrator.status()[0]).toMatchObject({ state: 'blocked', reason: { message: 'no space' } });
  });
});

describe('a critical failure', () => {
  test('stops everything that was started, in reverse, and rejects with its cause', async () => {
    const { define, journal } = workshop();
    const orchestrator = machine([
      define('redis'),
      define('worker', { dependsOn: [{ on: 'redis', when: 'ready' }] }),
      define('engine', {
        dependsOn: [{ on: 'worker', when: 'ready' }],
        onStart: () => {
          throw broken('no torch');
        },
      }),
      define('slow', { onStart: untilCancelled }),
    ]);
    using boots = record<BootReport>(orchestrator, 'boot');
    const error = await failureOf(orchestrator.start());
    expect(error).toMatchObject({
      code: 'CORE_BOOT_FAILED',
      message: 'the boot failed at engine:start: no torch',
      details: { failed: ['engine:start'] },
      cause: { code: 'TEST_BROKEN' },
    });
    expect(statesOf(orchestrator)).toEqual({ redis: 'stopped', worker: 'stopped', engine: 'stopped', slow: 'stopped' });
    expect(journal.indexOf('end worker')).toBeLessThan(journal.indexOf('end redis'));
    expect(orchestrator.boot).toMatchObject({ outcome: 'failed' });
    expect(boots.events).toMatchObject([{ outcome: 'failed' }]);
  });

  test('is one of the boot in a phase that it shares with what is not critical', async () => {
    const { define } = workshop();
    const phase = 'Engines';
    const orchestrator = machine([
      define('extra', { phase, critical: false }),
      define('engine', { phase, onStart: () => Promise.reject(broken()) }),
    ]);
    await failureOf(orchestrator.start());
    expect(orchestrator.boot).toMatchObject({
      outcome: 'failed',
      phases: [{ name: phase, critical: true, outcome: 'failed' }],
    });
  });

  test('may be that something it waits for failed, critical or not', async () => {
    const { define } = workshop();
    const orchestrator = machine([
      define('proxy', { critical: false, onStart: () => Promise.reject(broken()) }),
      define('engine', { dependsOn: [{ on: 'proxy', when: 'ready' }] }),
    ]);
    expect(await failureOf(orchestrator.start())).toMatchObject({ details: { failed: ['engine:start'] } });
    expect(orchestrator.boot.outcome).toBe('failed');
  });

  test('does not reach the boot that is asked for while it still unwinds', async () => {
    const { define } = workshop();
    const unwinding = Promise.withResolvers<void>();
    const released = Promise.withResolvers<void>();
    let starts = 0;
    const orchestrator = machine([
      define('slow', {
        onStart: (run) => {
          if (starts > 0) return;
          run.defer(() => {
            unwinding.resolve();
            return released.promise;
          });
          return untilCancelled(run);
        },
      }),
      define('engine', { onStart: () => (++starts === 1 ? Promise.reject(broken()) : undefined) }),
    ]);
    const first = failureOf(orchestrator.start());
    await unwinding.promise;
    const second = orchestrator.start();
    released.resolve();
    expect(await first).toMatchObject({ code: 'CORE_BOOT_FAILED' });
    expect(await second).toMatchObject({ outcome: 'ok' });
    expect(statesOf(orchestrator)).toEqual({ slow: 'running', engine: 'running' });
  });

  test('of an install stops the boot, too', async () => {
    const { define } = workshop();
    const orchestrator = machine([
      define('engine', { install: () => Promise.reject(broken('no space')) }),
      define('slow', { install: (signal) => new Promise((_, no) => signal.addEventListener('abort', no)) }),
    ]);
    expect(await failureOf(orchestrator.start())).toMatchObject({
      code: 'CORE_BOOT_FAILED',
      details: { failed: ['engine:install'] },
    });
  });

  test('is told even when not everything can be stopped', async () => {
    const { define } = workshop();
    const orchestrator = machine([
      define('stuck', { onStart: (run) => run.defer(() => Promise.reject(broken('stuck'))) }),
      define('engine', { dependsOn: [{ on: 'stuck', when: 'ready' }], onStart: () => Promise.reject(broken('first')) }),
    ]);
    expect(await failureOf(orchestrator.start())).toMatchObject({
      code: 'CORE_BOOT_FAILED',
      cause: { message: 'first' },
    });
  });
});

describe('a boot that is cancelled', () => {
  const build = () => {
    const { define, journal, live } = workshop();
    const orchestrator = machine([
      define('redis'),
      define('slow', { onStart: untilCancelled, dependsOn: [{ on: 'redis', when: 'ready' }] }),
      define('worker', { dependsOn: [{ on: 'slow', when: 'ready' }] }),
    ]);
    const atSlow = () => eventually(() => journal.includes('start slow'));
    return { orchestrator, journal, live, atSlow };
  };

  test('by its signal stops everything it had started', async () => {
    const { orchestrator, live, atSlow } = build();
    const controller = new AbortController();
    const start = failureOf(orchestrator.start({ signal: controller.signal }));
    await atSlow();
    controller.abort();
    expect(await start).toMatchObject({ code: 'CORE_START_ABORTED' });
    expect(statesOf(orchestrator)).toEqual({ redis: 'stopped', slow: 'stopped', worker: 'stopped' });
    expect(Object.fromEntries(live)).toEqual({ redis: 0, slow: 0 });
    expect(orchestrator.status().every(({ desired }) => desired === 'down')).toBe(true);
  });

  test('by a stop starts nothing more', async () => {
    const { orchestrator, journal, atSlow } = build();
    const start = failureOf(orchestrator.start());
    await atSlow();
    await orchestrator.stop();
    expect(await start).toMatchObject({ code: 'CORE_START_ABORTED' });
    expect(journal).toEqual(['start redis', 'ready redis', 'start slow', 'end slow', 'end redis']);
    expect(orchestrator.boot).toMatchObject({ outcome: 'cancelled' });
  });

  test('before it began does nothing', async () => {
    const { orchestrator, journal } = build();
    const start = failureOf(orchestrator.start({ signal: AbortSignal.abort() }));
    expect(await start).toMatchObject({ code: 'CORE_START_ABORTED' });
    expect(journal).toEqual([]);
  });

  test('does not wait for an install that is deaf to its signal', async () => {
    const { define, journal } = workshop();
    const orchestrator = machine([define('engine', { install: () => new Promise(() => {}) })]);
    const start = failureOf(orchestrator.start());
    await eventually(() => journal.includes('install engine'));
    await orchestrator.stop();
    expect(await start).toMatchObject({ code: 'CORE_START_ABORTED' });
    expect(orchestrator.boot.outcome).toBe('cancelled');
  });

  test('in one part by a restart of that part goes on with its new run', async () => {
    const { define, journal } = workshop();
    let starts = 0;
    const ready = Promise.withResolvers<void>();
    const onStart = (run: Run) => (++starts === 1 ? untilCancelled(run) : ready.promise);
    const orchestrator = machine([
      define('slow', { onStart }),
      define('later', { dependsOn: [{ on: 'slow', when: 'ready' }] }),
    ]);
    const boot = orchestrator.start();
    await eventually(() => journal.includes('start slow'));
    const restart = orchestrator.restart('slow');
    await eventually(() => starts === 2);
    ready.resolve();
    await restart;
    expect(await boot).toMatchObject({ outcome: 'ok' });
    expect(statesOf(orchestrator)).toEqual({ slow: 'running', later: 'running' });
  });

  test('in one part goes on with the others; what waited for that part is blocked', async () => {
    const { define } = workshop();
    const orchestrator = machine([
      define('slow', { onStart: untilCancelled }),
      define('later', { critical: false, dependsOn: [{ on: 'slow', when: 'ready' }] }),
      define('other'),
    ]);
    const boot = orchestrator.start();
    await eventually(() => statesOf(orchestrator).slow === 'starting');
    await orchestrator.stopInstance('slow');
    await boot;
    expect(statesOf(orchestrator)).toEqual({ slow: 'stopped', later: 'blocked', other: 'running' });
  });

  test('for a part that still waits never starts it', async () => {
    const { define, journal } = workshop();
    const ready = Promise.withResolvers<void>();
    const orchestrator = machine([
      define('slow', { onStart: () => ready.promise }),
      define('later', { dependsOn: [{ on: 'slow', when: 'ready' }] }),
    ]);
    const boot = orchestrator.start();
    await eventually(() => journal.includes('start slow'));
    await orchestrator.stopInstance('later');
    ready.resolve();
    await boot;
    expect(journal).toEqual(['start slow', 'ready slow']);
    expect(statesOf(orchestrator)).toEqual({ slow: 'running', later: 'stopped' });
  });
});
