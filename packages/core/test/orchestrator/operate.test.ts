import {
  type Failure,
  type InstanceStatus,
  type Orchestrator,
  type RestartPolicy,
  type Run,
  silentLogger,
} from '@mgpu/core';
import { fakeClock, record } from '@mgpu/core/testing';
import { describe, expect, test } from 'vitest';
import { broken, eventually, failureOf, seeded } from '../support.ts';
import { machine, statesOf, untilCancelled, workshop } from './machine.ts';

describe('stopping a machine', () => {
  test('goes in reverse order, what is independent at the same time', async () => {
    const { define, journal } = workshop();
    let waiting = 0;
    const both = Promise.withResolvers<void>();
    const together = (run: Run) =>
      run.defer(() => {
        if (++waiting === 2) both.resolve();
        return both.promise;
      });
    const orchestrator = machine([
      define('redis'),
      define('a', { dependsOn: [{ on: 'redis', when: 'ready' }], onStart: together }),
      define('b', { dependsOn: [{ on: 'redis', when: 'started' }], onStart: together }),
    ]);
    await orchestrator.start();
    journal.length = 0;
    await Promise.all([orchestrator.stop(), orchestrator.stop()]);
    await orchestrator.stop();
    expect(journal.slice(0, 2).toSorted()).toEqual(['end a', 'end b']);
    expect(journal[2]).toBe('end redis');
    expect(statesOf(orchestrator)).toEqual({ redis: 'stopped', a: 'stopped', b: 'stopped' });
  });

  test('stops the rest when one part cannot be, and tells which', async () => {
    const { define } = workshop();
    const orchestrator = machine([
      define('redis'),
      define('stuck', {
        dependsOn: [{ on: 'redis', when: 'ready' }],
        onStart: (run) => run.defer(() => Promise.reject(broken('no'))),
      }),
    ]);
    await orchestrator.start();
    expect(await failureOf(orchestrator.stop())).toMatchObject({
      code: 'CORE_STOP_INCOMPLETE',
      message: 'machine: not everything could be released: stuck: not everything could be released: no',
    });
    expect(statesOf(orchestrator)).toEqual({ redis: 'stopped', stuck: 'stopped' });
  });

  test('hurries when it is forced while under way', async () => {
    const { define } = workshop();
    const waiting = Promise.withResolvers<void>();
    const patient = (run: Run) =>
      run.defer(() => {
        waiting.resolve();
        return new Promise<void>((resolve) => run.force.addEventListener('abort', () => resolve()));
      });
    const orchestrator = machine([define('a', { onStart: patient })]);
    await orchestrator.start();
    const stop = orchestrator.stop();
    await waiting.promise;
    await orchestrator.stop({ force: true });
    await stop;
    expect(statesOf(orchestrator)).toEqual({ a: 'stopped' });
  });

  test('tells what could not be released when it is hurried out of turn', async () => {
    const { define, journal } = workshop();
    const waiting = Promise.withResolvers<void>();
    const patience = Promise.withResolvers<void>();
    const orchestrator = machine([
      define('redis', { onStart: (run) => run.defer(() => Promise.reject(broken('stuck'))) }),
      define('engine', {
        dependsOn: [{ on: 'redis', when: 'ready' }],
        onStart: (run) =>
          run.defer(() => {
            waiting.resolve();
            return patience.promise;
          }),
      }),
    ]);
    await orchestrator.start();
    const stop = failureOf(orchestrator.stop());
    await waiting.promise;
    const hurried = failureOf(orchestrator.stop({ force: true }));
    await eventually(() => statesOf(orchestrator).redis === 'stopped');
    patience.resolve();
    for (const each of [stop, hurried])
      expect(await each).toMatchObject({ code: 'CORE_STOP_INCOMPLETE', message: expect.stringContaining('stuck') });
    expect(journal.at(-1)).toBe('end engine');
  });

  test('lets nobody start anything meanwhile', async () => {
    const { define } = workshop();
    const release = Promise.withResolvers<void>();
    const orchestrator = machine([define('a'), define('b', { onStart: (run) => run.defer(() => release.promise) })]);
    await orchestrator.start();
    const stop = orchestrator.stop();
    expect(await failureOf(orchestrator.startInstance('a'))).toMatchObject({ code: 'CORE_START_ABORTED' });
    expect(await failureOf(orchestrator.restart('a'))).toMatchObject({ code: 'CORE_START_ABORTED' });
    expect(await failureOf(orchestrator.startMissing())).toMatchObject({ code: 'CORE_START_ABORTED' });
    release.resolve();
    await stop;
    expect(statesOf(orchestrator)).toEqual({ a: 'stopped', b: 'stopped' });
    await orchestrator.startInstance('a');
    expect(statesOf(orchestrator)).toEqual({ a: 'running', b: 'stopped' });
  });
});

describe('several instances', () => {
  const used = (by: string) => ({ dependsOn: [{ on: by, when: 'started' as const }] });

  test('move in the order in which they use each other, be it by way of others', async () => {
    const { define, journal } = workshop();
    const orchestrator = machine([
      define('redis'),
      define('engine', used('redis')),
      define('worker', used('engine')),
      define('other'),
    ]);
    await orchestrator.start();
    const journalOf = async (verb: 'start' | 'stop' | 'restart') => {
      journal.length = 0;
      const outcomes = await orchestrator.operate(verb, ['redis', 'worker']);
      expect(outcomes.map(({ error }) => error)).toEqual([undefined, undefined]);
      return journal.filter((line) => !line.startsWith('ready'));
    };
    expect(await journalOf('start')).toEqual([]);
    expect(await journalOf('restart')).toEqual(['end worker', 'end redis', 'start redis', 'start worker']);
    expect(await journalOf('stop')).toEqual(['end worker', 'end redis']);
    expect(statesOf(orchestrator)).toEqual({
      redis: 'stopped',
      engine: 'running',
      worker: 'stopped',
      other: 'running',
    });
    expect(orchestrator.status()[0]).toMatchObject({ desired: 'down' });
    expect(await journalOf('start')).toEqual(['start redis', 'start worker']);
    expect(orchestrator.status()[0]).toMatchObject({ desired: 'up' });
  });

  test('tell one by one what came of it; one that fails keeps none of the others back', async () => {
    const { define } = workshop();
    let isBroken = false;
    const onStart = () => {
      if (isBroken) throw broken('no GPU memory');
    };
    const orchestrator = machine([define('a', { onStart }), define('b', used('a'))]);
    await orchestrator.start();
    isBroken = true;
    expect(await orchestrator.operate('restart', ['b', 'a'])).toMatchObject([
      { instance: { id: 'b', state: 'running' } },
      { instance: { id: 'a', state: 'failed' }, error: { message: expect.stringContaining('no GPU memory') } },
    ]);
    const unknown = failureOf(orchestrator.operate('stop', ['b', 'c']));
    expect(await unknown).toMatchObject({ code: 'CORE_SERVICE_UNKNOWN' });
    expect(statesOf(orchestrator)).toMatchObject({ b: 'running' });
  });
});

describe('one instance', () => {
  test('can be stopped, started and restarted while the others go on', async () => {
    const { define, runs } = workshop();
    const orchestrator = machine([define('a'), define('b')]);
    await orchestrator.start();
    const untouched = runs.get('b');
    await orchestrator.stopInstance('a');
    expect(orchestrator.status()[0]).toMatchObject({ state: 'stopped', desired: 'down' });
    await orchestrator.startInstance('a');
    const before = runs.get('a');
    await orchestrator.restart('a');
    expect(runs.get('a')).not.toBe(before);
    expect(orchestrator.status()[0]).toMatchObject({ state: 'running', desired: 'up' });
    expect(runs.get('b')).toBe(untouched);
  });

  test('that does not exist is refused with those that do', async () => {
    const { define } = workshop();
    const orchestrator = machine([define('a'), define('b')]);
    for (const ask of ['startInstance', 'stopInstance', 'restart'] as const)
      expect(await failureOf(orchestrator[ask]('c'))).toMatchObject({
        code: 'CORE_SERVICE_UNKNOWN',
        message: 'no instance is called "c"; there are: a, b',
      });
  });

  test('that is missing is started again, dependencies first', async () => {
    const { define, journal } = workshop();
    const orchestrator = machine([
      define('worker', { dependsOn: [{ on: 'redis', when: 'ready' }] }),
      define('redis'),
      define('other'),
    ]);
    await orchestrator.start();
    await orchestrator.stopInstance('worker');
    await orchestrator.stopInstance('redis');
    journal.length = 0;
    await orchestrator.startMissing();
    expect(journal).toEqual(['start redis', 'ready redis', 'start worker', 'ready worker']);
  });
});

describe('starting what is missing', () => {
  test('installs it first, again when that had failed', async () => {
    const { define, journal } = workshop();
    let installs = 0;
    const install = () => (++installs < 3 ? Promise.reject(broken('no space')) : Promise.resolve());
    const orchestrator = machine([define('engine', { critical: false, install }), define('other', { install })]);
    await failureOf(orchestrator.start());
    await orchestrator.startMissing();
    expect(statesOf(orchestrator)).toEqual({ engine: 'running', other: 'running' });
    for (const id of ['engine', 'other']) {
      expect(journal.filter((each) => each.startsWith('install')).filter((each) => each.endsWith(` ${id}`))).toEqual([
        `install ${id}`,
        `install ${id}`,
        `installed ${id}`,
      ]);
      expect(journal.indexOf(`start ${id}`)).toBeGreaterThan(journal.indexOf(`installed ${id}`));
    }
  });

  test('waits for the boot under way', async () => {
    const { define, journal } = workshop();
    const installed = Promise.withResolvers<void>();
    const orchestrator = machine([define('engine', { install: () => installed.promise })]);
    const boot = orchestrator.start();
    const missing = orchestrator.startMissing();
    await eventually(() => journal.includes('install engine'));
    expect(journal).toEqual(['install engine']);
    installed.resolve();
    expect(await missing).toEqual(await boot);
    expect(journal).toEqual(['install engine', 'installed engine', 'start engine', 'ready engine']);
  });

  test('leaves alone what runs, and what has completed', async () => {
    const { define, journal } = workshop();
    const orchestrator = machine([
      define('sync', { onStart: (run) => run.complete() }),
      define('engine', { dependsOn: [{ on: 'sync', when: 'completed' }] }),
      define('other'),
    ]);
    await orchestrator.start();
    await orchestrator.stopInstance('engine');
    journal.length = 0;
    await orchestrator.startMissing();
    expect(journal).toEqual(['start engine', 'ready engine']);
    expect(statesOf(orchestrator)).toEqual({ sync: 'completed', engine: 'running', other: 'running' });
  });

  test('starts nothing whose dependency fails, and stops nothing because of it', async () => {
    const { define, journal } = workshop();
    let isWell = true;
    const orchestrator = machine([
      define('redis', { onStart: () => (isWell ? undefined : Promise.reject(broken('no disk'))) }),
      define('worker', { dependsOn: [{ on: 'redis', when: 'ready' }] }),
      define('other'),
    ]);
    await orchestrator.start();
    for (const id of ['worker', 'redis']) await orchestrator.stopInstance(id);
    isWell = false;
    journal.length = 0;
    expect(await orchestrator.startMissing()).toMatchObject({ outcome: 'failed' });
    expect(journal).toEqual(['start redis', 'end redis']);
    expect(statesOf(orchestrator)).toEqual({ redis: 'failed', worker: 'blocked', other: 'running' });
  });

  test('is called off by a stop', async () => {
    const { define } = workshop();
    const orchestrator = machine([define('engine', { onStart: untilCancelled })]);
    const missing = failureOf(orchestrator.startMissing());
    await eventually(() => statesOf(orchestrator).engine === 'starting');
    await orchestrator.stop();
    expect(await missing).toMatchObject({ code: 'CORE_START_ABORTED' });
    expect(statesOf(orchestrator)).toEqual({ engine: 'stopped' });
  });
});

describe('what a failed dependency held back', () => {
  const chain = () => {
    const { define, runs } = workshop();
    let isWell = false;
    const orchestrator = machine([
      define('proxy', { critical: false, onStart: () => (isWell ? undefined : Promise.reject(broken())) }),
      define('site', { critical: false, dependsOn: [{ on: 'proxy', when: 'ready' }] }),
      define('page', { critical: false, dependsOn: [{ on: 'site', when: 'ready' }] }),
    ]);
    const cure = () => {
      isWell = true;
    };
    return { orchestrator, runs, cure };
  };

  test('follows once that has recovered', async () => {
    const { orchestrator, cure } = chain();
    await orchestrator.start();
    expect(statesOf(orchestrator)).toEqual({ proxy: 'failed', site: 'blocked', page: 'blocked' });
    cure();
    await orchestrator.startInstance('proxy');
    await eventually(() => statesOf(orchestrator).page === 'running');
    expect(statesOf(orchestrator)).toEqual({ proxy: 'running', site: 'running', page: 'running' });
  });

  test('does not when somebody has stopped it since', async () => {
    const { orchestrator, cure } = chain();
    await orchestrator.start();
    await orchestrator.stopInstance('site');
    cure();
    await orchestrator.startInstance('proxy');
    expect(statesOf(orchestrator)).toEqual({ proxy: 'running', site: 'stopped', page: 'blocked' });
  });
});

describe('a failure after the boot', () => {
  const delays = [1_000, 2_000, 4_000];
  const backoff: RestartPolicy = {
    decide: (_, history) => {
      const delayMs = delays[history.length];
      return { restart: delayMs !== undefined, delayMs: delayMs ?? 0, reason: `failure ${history.length + 1}` };
    },
  };

  function supervised(restartPolicy?: RestartPolicy) {
    const { define, runs, live } = workshop();
    const clock = fakeClock();
    const logged: string[] = [];
    const log = { ...silentLogger, error: (text: string) => void logged.push(text) };
    const orchestrator = machine([define('a')], { clock, log, ...(restartPolicy ? { restartPolicy } : {}) });
    const status = () => orchestrator.status()[0] as InstanceStatus;
    const crash = async () => {
      runs.get('a')?.fail(broken('crash'));
      await clock.advance(0);
    };
    return { orchestrator, clock, status, run: () => runs.get('a'), crash, live, logged };
  }

  test('stays one when nobody brings a policy', async () => {
    const { orchestrator, clock, status, crash } = supervised();
    await orchestrator.start();
    await crash();
    expect(status()).toMatchObject({ state: 'failed', desired: 'up', reason: { message: 'crash' } });
    expect(clock.sleepers).toBe(0);
  });

  test('is followed by a restart when the policy says when', async () => {
    const { orchestrator, clock, status, crash } = supervised(backoff);
    await orchestrator.start();
    await crash();
    expect(status()).toMatchObject({
      state: 'backoff',
      attempt: 0,
      until: '2026-01-01T00:00:01.000Z',
      reason: { code: 'CORE_RESTART', message: 'crash; failure 1', cause: { code: 'TEST_BROKEN', message: 'crash' } },
    });
    await clock.advance(999);
    expect(status().state).toBe('backoff');
    await clock.advance(1);
    expect(status()).toMatchObject({ state: 'running', attempt: 1 });
    expect(status().until).toBeUndefined();
  });

  test('waits ever longer and is given up when the policy says so', async () => {
    const { orchestrator, clock, status, crash } = supervised(backoff);
    await orchestrator.start();
    for (const delay of delays) {
      await crash();
      await clock.advance(delay - 1);
      expect(status().state).toBe('backoff');
      await clock.advance(1);
      expect(status().state).toBe('running');
    }
    await crash();
    await clock.advance(3_600_000);
    expect(status()).toMatchObject({ state: 'failed', attempt: 3 });
  });

  test('tells the policy everything that is known', async () => {
    const asked: Parameters<RestartPolicy['decide']>[] = [];
    const { orchestrator, clock, crash } = supervised({
      decide: (...known) => {
        asked.push(known);
        return { restart: true, delayMs: 5, reason: 'again' };
      },
    });
    await clock.advance(10);
    await orchestrator.start();
    await clock.advance(100);
    await crash();
    await clock.advance(25);
    await crash();
    const error = { code: 'TEST_BROKEN', message: 'crash', retryable: false };
    const first = { startedAt: 10, readyMs: 100, endedAt: 110 };
    const second = { startedAt: 115, readyMs: 20, endedAt: 135 };
    const past = { error: { code: 'TEST_BROKEN', retryable: false, errnos: [] } };
    expect(asked).toEqual([
      [{ instance: 'a', kind: 'a', error, ...first }, [], {}],
      [{ instance: 'a', kind: 'a', error, ...second }, [{ ...past, ...first }], {}],
    ]);
  });

  test('tells how long it was ready at a stretch', async () => {
    const failures: Failure[] = [];
    const { orchestrator, clock, run, crash } = supervised({
      decide: (failure) => {
        failures.push(failure);
        return { restart: false, delayMs: 0, reason: 'no' };
      },
    });
    await orchestrator.start();
    for (const [health, ms] of [
      ['notReady', 30],
      ['ready', 50],
      ['degraded', 200],
      ['ready', 40],
      ['notReady', 500],
    ] as const) {
      run()?.setHealth(health);
      await clock.advance(ms);
    }
    await crash();
    expect(failures).toMatchObject([{ startedAt: 0, readyMs: 50, endedAt: 820 }]);
  });

  test('is told, and not followed by a restart, when the policy itself fails', async () => {
    const { orchestrator, clock, status, crash, logged } = supervised({
      decide: () => {
        throw broken('bad policy');
      },
    });
    await orchestrator.start();
    using changes = record<InstanceStatus>(orchestrator, 'instance');
    await crash();
    expect(status()).toMatchObject({ state: 'failed', reason: { message: 'crash' } });
    expect(changes.events.at(-1)).toMatchObject({ state: 'failed' });
    expect(logged).toContain('a: the restart policy failed, it is not restarted');
    expect(clock.sleepers).toBe(0);
  });

  test.each<[string, (orchestrator: Orchestrator) => Promise<void>]>([
    ['the machine', (orchestrator) => orchestrator.stop()],
    ['the instance', (orchestrator) => orchestrator.stopInstance('a')],
  ])('is not followed by a restart once somebody stops %s', async (_, stop) => {
    const { orchestrator, clock, status, crash, live } = supervised(backoff);
    await orchestrator.start();
    await crash();
    await stop(orchestrator);
    expect(status()).toMatchObject({ state: 'stopped', desired: 'down' });
    expect(clock.sleepers).toBe(0);
    await clock.advance(10_000);
    expect(live.get('a')).toBe(0);
  });

  test('is forgotten once somebody starts it by hand', async () => {
    const { orchestrator, clock, status, crash } = supervised(backoff);
    await orchestrator.start();
    await crash();
    await orchestrator.startInstance('a');
    expect(status()).toMatchObject({ state: 'running', attempt: 0 });
    expect(clock.sleepers).toBe(0);
    await crash();
    expect(status()).toMatchObject({ state: 'backoff', reason: { message: 'crash; failure 1' } });
  });

  test('in a restart that was stopped is not counted', async () => {
    const { define, runs } = workshop();
    const clock = fakeClock();
    const restarting = Promise.withResolvers<void>();
    let starts = 0;
    const onStart = () => (++starts === 1 ? undefined : restarting.promise);
    const orchestrator = machine([define('a', { onStart })], { clock, restartPolicy: backoff });
    await orchestrator.start();
    runs.get('a')?.fail(broken('crash'));
    await clock.advance(1_000);
    expect(statesOf(orchestrator)).toEqual({ a: 'starting' });
    const stop = orchestrator.stop();
    restarting.resolve();
    await stop;
    expect(orchestrator.status()[0]).toMatchObject({ state: 'stopped', attempt: 0 });
  });
});

describe('whoever watches a machine', () => {
  test('hears of every change of every instance', async () => {
    const { define, runs } = workshop();
    const orchestrator = machine([define('a')]);
    using changes = record<InstanceStatus>(orchestrator, 'instance');
    await orchestrator.start();
    runs.get('a')?.setHealth('degraded', 'slow');
    await orchestrator.stop();
    expect(changes.events.map(({ state, health, desired }) => `${state} ${health} ${desired}`)).toEqual([
      'blocked unknown up',
      'starting unknown up',
      'running ready up',
      'running degraded up',
      'running degraded down',
      'stopping unknown down',
      'stopped unknown down',
    ]);
  });

  test('cannot break it', async () => {
    const { define } = workshop();
    const told: unknown[] = [];
    const log = { ...silentLogger, error: (text: string) => void told.push(text) };
    const orchestrator = machine([define('a')], { log });
    for (const event of ['instance', 'phase', 'boot'] as const) {
      orchestrator.on(event, () => {
        throw broken('a bad listener');
      });
      orchestrator.on(event, () => told.push(event));
    }
    expect(await orchestrator.start()).toMatchObject({ outcome: 'ok' });
    expect(statesOf(orchestrator)).toEqual({ a: 'running' });
    for (const event of ['instance', 'phase', 'boot'])
      expect(told).toEqual(expect.arrayContaining([event, `a listener of the machine's ${event} failed`]));
    await orchestrator.stop();
    expect(statesOf(orchestrator)).toEqual({ a: 'stopped' });
  });
});

test('any order of commands at once leaves at most one run an instance, and nothing when the last was a stop', async () => {
  const eager: RestartPolicy = { decide: () => ({ restart: true, delayMs: 1, reason: 'again' }) };
  for (let seed = 1; seed <= 120; seed++) {
    const random = seeded(seed);
    const clock = fakeClock();
    const { define, live, runs } = workshop();
    const over: string[] = [];
    const onStart = async (run: Run, id: string) => {
      if ((live.get(id) ?? 0) > 1) over.push(id);
      for (let n = random(3); n > 0; n--) await Promise.resolve();
      if (random(6) === 0) throw broken('by chance');
      run.defer(() => new Promise<void>((resolve) => setImmediate(resolve)));
    };
    const install = () => (random(4) === 0 ? Promise.reject(broken('by chance')) : Promise.resolve());
    const orchestrator = machine(
      [
        define('sync', { critical: false, onStart: (run, id) => onStart(run, id).then(() => run.complete()) }),
        define('redis', { onStart }),
        define('engine', { critical: false, onStart, scope: 'gpu', install }),
        define('worker', {
          critical: false,
          onStart,
          scope: 'gpu',
          dependsOn: [
            { on: 'sync', when: 'completed' },
            { on: 'redis', when: 'ready' },
            { on: 'engine', when: 'started' },
          ],
        }),
      ],
      { clock, restartPolicy: eager },
    );
    const ids = orchestrator.status().map(({ id }) => id);
    const commands: [string, (id: string) => Promise<unknown>][] = [
      ['start', () => orchestrator.start()],
      ['stop', () => orchestrator.stop()],
      ['stop at once', () => orchestrator.stop({ force: true })],
      ['startMissing', () => orchestrator.startMissing()],
      ['startInstance', (id) => orchestrator.startInstance(id)],
      ['stopInstance', (id) => orchestrator.stopInstance(id)],
      ['stopInstance at once', (id) => orchestrator.stopInstance(id, { force: true })],
      ['restart', (id) => orchestrator.restart(id)],
      ['crash', async (id) => runs.get(id)?.fail(broken('crash'))],
    ];
    const told: string[] = [];
    const done: Promise<unknown>[] = [];
    for (let n = 0; n < 14; n++) {
      const id = ids[random(ids.length)] ?? '';
      const [name, command] = commands[random(commands.length)] ?? ['', async () => {}];
      told.push(`${name} ${id}`);
      done.push(command(id).catch(() => {})); // cancelled by another, or by chance
      await clock.advance(random(3));
    }
    const text = `seed ${seed}: ${told.join(', ')}`;
    const settled = Promise.all(done);
    await clock.advance(100);
    await settled;
    await clock.advance(100);
    for (const { id, state: reached, desired } of orchestrator.status()) {
      expect(live.get(id) ?? 0, `${text}: ${id}`).toBe(reached === 'running' ? 1 : 0);
      if (desired === 'down') expect(reached, `${text}: ${id}`).toBe('stopped');
    }
    await orchestrator.stop();
    await clock.advance(100);
    expect(over, text).toEqual([]);
    expect(Object.values(statesOf(orchestrator)), text).toEqual(ids.map(() => 'stopped'));
    expect(
      [...live.values()].every((count) => count === 0),
      text,
    ).toBe(true);
    expect(clock.sleepers, text).toBe(0);
  }
});
