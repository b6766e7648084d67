import { mkdirSync } from 'node:fs';
import {
  type InstanceStatus,
  layoutOf,
  neverRestart,
  type Orchestrator,
  type RestartPolicy,
  type Run,
  type SupervisedInstance,
} from '@mgpu/core';
import { fakeClock, record } from '@mgpu/core/testing';
import { describe, expect, test } from 'vitest';
import { broken, eventually, failureOf, temporaryFolder } from '../support.ts';
import { machine, statesOf, workshop } from './machine.ts';

const inHand = (orchestrator: Orchestrator, id: string): SupervisedInstance => {
  const found = orchestrator.view.supervisor.instances().find((each) => each.id === id);
  if (!found) throw new Error(`no ${id}`);
  return found;
};

const held = { code: 'TEST_HELD', message: 'held', retryable: true };
const later: RestartPolicy = { decide: () => ({ restart: true, delayMs: 1_000, reason: 'later' }) };
const wishesOf = (orchestrator: Orchestrator) =>
  Object.fromEntries(orchestrator.status().map(({ id, desired }) => [id, desired]));

/** Of a root on which something can be kept. */
function keptLayout() {
  const layout = layoutOf(temporaryFolder());
  mkdirSync(layout.run, { recursive: true });
  return layout;
}

describe('what nobody wants', () => {
  test('is not started by its renewal', async () => {
    const { define, journal } = workshop();
    const orchestrator = machine([define('a')]);
    expect(await failureOf(inHand(orchestrator, 'a').restart())).toMatchObject({ code: 'CORE_START_ABORTED' });
    expect(journal).toEqual([]);
  });

  test('stays unwanted when the boot is stopped before it began to start anything', async () => {
    const { define, journal } = workshop();
    const orchestrator = machine([define('a')]);
    const booted = failureOf(orchestrator.start());
    await orchestrator.stop();
    expect(await booted).toMatchObject({ code: 'CORE_START_ABORTED' });
    expect(journal).toEqual([]);
    expect(wishesOf(orchestrator)).toEqual({ a: 'down' });
  });

  test('stays unwanted when that was said before the boot had looked at what was there', async () => {
    const { define, journal } = workshop();
    const orchestrator = machine([define('a'), define('b')]);
    const booted = orchestrator.start();
    await orchestrator.stopInstance('a');
    await booted;
    expect(journal).toEqual(['start b', 'ready b']);
    expect(wishesOf(orchestrator)).toEqual({ a: 'down', b: 'up' });
  });
});

describe('what has failed', () => {
  test('says so, though it had been asked for once more while it ran', async () => {
    const { define, runs } = workshop();
    const orchestrator = machine([define('a')], { restartPolicy: neverRestart });
    await orchestrator.start();
    await orchestrator.startInstance('a');
    runs.get('a')?.fail(broken());
    await eventually(() => statesOf(orchestrator).a !== 'cleaning' && statesOf(orchestrator).a !== 'running');
    expect(statesOf(orchestrator)).toEqual({ a: 'failed' });
  });

  test('is told to wait when a policy comes to office afterwards', async () => {
    const { define } = workshop();
    const orchestrator = machine([define('a', { critical: false, onStart: () => Promise.reject(broken()) })], {
      clock: fakeClock(),
    });
    using told = record<InstanceStatus>(orchestrator, 'instance');
    await orchestrator.start();
    orchestrator.view.supervisor.appoint(later);
    expect(statesOf(orchestrator)).toEqual({ a: 'backoff' });
    expect(told.events.at(-1)).toEqual(orchestrator.status()[0]);
  });

  test('is decided about no more once it has been started again', async () => {
    const { define } = workshop();
    let tries = 0;
    const orchestrator = machine([
      define('a', { critical: false, onStart: () => (++tries === 1 ? Promise.reject(broken()) : undefined) }),
    ]);
    await orchestrator.start();
    inHand(orchestrator, 'a').retry();
    await eventually(() => statesOf(orchestrator).a === 'running');
    using failures = record(orchestrator, 'failure');
    orchestrator.view.supervisor.appoint(later);
    expect(failures.events).toEqual([]);
    expect(orchestrator.status()).toMatchObject([{ state: 'running', attempt: 1 }]);
  });
});

describe('what is restarted while somebody starts it', () => {
  test('says at any time which attempt that is', async () => {
    const { define, runs } = workshop();
    const atOnce: RestartPolicy = { decide: () => ({ restart: true, delayMs: 0, reason: 'at once' }) };
    const orchestrator = machine([define('a')], { clock: fakeClock(), restartPolicy: atOnce });
    await orchestrator.start();
    using told = record<InstanceStatus>(orchestrator, 'instance');
    runs.get('a')?.fail(broken());
    const started = orchestrator.startInstance('a');
    for (let turns = 0; turns < 100; turns++) {
      await Promise.resolve();
      expect(told.events.at(-1)).toEqual(orchestrator.status()[0]);
    }
    await started;
  });
});

describe('what goes on from the daemon before', () => {
  test('says what it waits for', async () => {
    const { define } = workshop();
    const part = define('a', { critical: false, onStart: () => Promise.reject(broken()) });
    const options = { layout: keptLayout(), clock: fakeClock(), restartPolicy: later };
    const former = machine([part], options);
    await former.start();
    former.leave();
    const orchestrator = machine([part], options);
    using told = record<InstanceStatus>(orchestrator, 'instance');
    await orchestrator.start();
    expect(statesOf(orchestrator)).toEqual({ a: 'backoff' });
    expect(told.events.at(-1)).toEqual(orchestrator.status()[0]);
  });
});

describe('what was started before the boot', () => {
  test('is restarted once when it fails', async () => {
    const { define, journal, runs } = workshop();
    const clock = fakeClock();
    const orchestrator = machine([define('a')], { layout: keptLayout(), clock, restartPolicy: later });
    await orchestrator.startInstance('a');
    runs.get('a')?.fail(broken());
    await eventually(() => statesOf(orchestrator).a === 'backoff');
    await orchestrator.start();
    await clock.advance(1_000);
    await eventually(() => statesOf(orchestrator).a === 'running');
    expect(orchestrator.status()).toMatchObject([{ attempt: 1 }]);
    expect(journal).toEqual(['start a', 'ready a', 'end a', 'start a', 'ready a']);
  });
});

describe('what does not end cleanly', () => {
  const unclean = (journal: string[]) => ({
    onStart: async (run: Run) => {
      run.defer(() => Promise.reject(broken()));
      const isFirst = journal.filter((each) => each.startsWith('start')).length === 1;
      if (isFirst) await ended(run.signal);
    },
  });
  const ended = (signal: AbortSignal) =>
    new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));

  test('fails no boot when it gives way to its renewal', async () => {
    const { define, journal } = workshop();
    const orchestrator = machine([define('a', unclean(journal))]);
    const booted = orchestrator.start();
    await eventually(() => statesOf(orchestrator).a === 'starting');
    await orchestrator.restart('a');
    expect(await booted).toMatchObject({ outcome: 'ok' });
    expect(statesOf(orchestrator)).toEqual({ a: 'running' });
  });

  test('fails no boot when it gives way to a hold', async () => {
    const { define, journal } = workshop();
    const orchestrator = machine([define('a', unclean(journal))]);
    const booted = orchestrator.start();
    await eventually(() => statesOf(orchestrator).a === 'starting');
    expect(await failureOf(inHand(orchestrator, 'a').hold('gpu', held))).toMatchObject({
      code: 'CORE_STOP_INCOMPLETE',
    });
    expect(await booted).toMatchObject({ outcome: 'degraded' });
    expect(statesOf(orchestrator)).toEqual({ a: 'blocked' });
  });
});

describe('what is on hold', () => {
  test('may be released before the boot that goes on from the daemon before', async () => {
    const { define } = workshop();
    const layout = keptLayout();
    const former = machine([define('a')], { layout });
    await former.start();
    former.leave();
    const orchestrator = machine([define('a')], { layout });
    await inHand(orchestrator, 'a').hold('gpu', held);
    inHand(orchestrator, 'a').release('gpu');
    await orchestrator.start();
    expect(statesOf(orchestrator)).toEqual({ a: 'running' });
  });

  test('fails no boot when it had just completed', async () => {
    const { define } = workshop();
    const isReleased = Promise.withResolvers<void>();
    const orchestrator = machine([
      define('migration', {
        onStart: (run) => {
          run.defer(() => isReleased.promise);
          run.complete();
        },
      }),
      define('worker', { dependsOn: [{ on: 'migration', when: 'completed' }] }),
    ]);
    const booted = orchestrator.start();
    await eventually(() => statesOf(orchestrator).migration === 'cleaning');
    const isHeld = inHand(orchestrator, 'migration').hold('disk', held);
    isReleased.resolve();
    await isHeld;
    expect(await booted).toMatchObject({ outcome: 'degraded' });
    expect(statesOf(orchestrator)).toEqual({ migration: 'blocked', worker: 'blocked' });
  });

  test('stays so for the next daemon when this one leaves and its holder goes', async () => {
    const { define } = workshop();
    const layout = keptLayout();
    const former = machine([define('a')], { layout });
    await former.start();
    const holder = new AbortController();
    await former.hold('a', { reason: held, signal: holder.signal });
    former.leave();
    holder.abort();
    expect(statesOf(former)).toEqual({ a: 'blocked' });
    const orchestrator = machine([define('a')], { layout });
    await orchestrator.start();
    expect(statesOf(orchestrator)).toEqual({ a: 'running' });
    expect(statesOf(former)).toEqual({ a: 'blocked' });
  });

  test('stays so until its holder has gone, whatever the wish, and comes back only if it is wanted', async () => {
    const { define } = workshop();
    const orchestrator = machine([define('a'), define('b')]);
    await orchestrator.start();
    const [one, other] = [new AbortController(), new AbortController()];
    await orchestrator.hold('a', { reason: held, signal: one.signal });
    await orchestrator.hold('a', { reason: held, signal: other.signal });
    await orchestrator.hold('b', { reason: held, signal: one.signal });
    await orchestrator.stopInstance('b');
    expect(await failureOf(orchestrator.startInstance('a'))).toMatchObject({ code: 'CORE_INSTANCE_HELD' });
    one.abort();
    expect(statesOf(orchestrator)).toEqual({ a: 'blocked', b: 'stopped' });
    other.abort();
    await eventually(() => statesOf(orchestrator).a === 'running');
    await orchestrator.hold('a', { reason: held, signal: AbortSignal.abort() }); // gone before its turn
    expect(statesOf(orchestrator)).toEqual({ a: 'running', b: 'stopped' });
    expect(await failureOf(orchestrator.hold('c', { reason: held, signal: one.signal }))).toMatchObject({
      code: 'CORE_SERVICE_UNKNOWN',
    });
  });

  test('fails no boot, nor does what waits for it', async () => {
    const { define, journal } = workshop();
    const orchestrator = machine([
      define('engine'),
      define('worker', { dependsOn: [{ on: 'engine', when: 'ready' }] }),
      define('other'),
    ]);
    await inHand(orchestrator, 'engine').hold('gpu', held);
    expect(await orchestrator.start()).toMatchObject({ outcome: 'degraded' });
    expect(statesOf(orchestrator)).toEqual({ engine: 'blocked', worker: 'blocked', other: 'running' });
    inHand(orchestrator, 'engine').release('gpu');
    await eventually(() => statesOf(orchestrator).worker === 'running');
    expect(journal.filter((each) => each.startsWith('start'))).toEqual(['start other', 'start engine', 'start worker']);
  });
});
