import { BaseService, type Health, type Probes, type Run, type ServiceStatus } from '@mgpu/core';
import { fakeClock, testContext } from '@mgpu/core/testing';
import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { broken } from '../support.ts';
import { finalStates, instanceGraph, longestEndMs, passingStates, reachable, serviceGraph, Tracker } from './graph.ts';
import { type Asked, askedArbitrary, Commands, goodMood, moodArbitrary, Performer } from './performer.ts';
import { Problems, passArbitrary, patienceMs, patientClock, pause, pauseArbitrary, tryAll } from './schedules.ts';

class Actor extends BaseService<{ performer: Performer }> {
  #run: Run | undefined;

  protected override async onStart(run: Run): Promise<void> {
    this.#run = run;
    await this.config.performer.play(run);
  }

  protected override probes(): Probes {
    return this.config.performer.probes(this.#run);
  }
}

const simple = <T extends string>(...names: readonly T[]) => fc.record({ do: fc.constantFrom(...names) });

const step = fc.record({
  event: fc.oneof(
    { weight: 4, arbitrary: simple('start') },
    { weight: 2, arbitrary: simple('stop', 'stop at once', 'restart') },
    { weight: 2, arbitrary: simple('start with a signal', 'fire the signal', 'ask health', 'complete') },
    {
      weight: 2,
      arbitrary: fc.record({ do: fc.constant('fail' as const), run: fc.constantFrom('present', 'former') }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        do: fc.constant('say' as const),
        health: fc.constantFrom<Health>('ready', 'degraded', 'notReady'),
        run: fc.constantFrom('present', 'former'),
      }),
    },
    { weight: 1, arbitrary: simple('exit') },
    { weight: 4, arbitrary: fc.record({ do: fc.constant('mood' as const), mood: moodArbitrary }) },
    { weight: 4, arbitrary: passArbitrary },
  ),
  pause: pauseArbitrary,
});

type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

async function play({ asked, steps }: { asked: Asked; steps: readonly Step[] }): Promise<void> {
  const problems = new Problems();
  const clock = patientClock(fakeClock(), problems.tell);
  const commands = new Commands(problems.tell);
  const performer = new Performer(clock, asked, problems.tell);
  using context = testContext({ kind: 'actor', clock });
  const service = new Actor({ performer }, context);
  const tracker = new Tracker<ServiceStatus>(serviceGraph, service.status, problems.tell);
  service.on('status', (status) => {
    const said = performer.lives.findLast(({ run }) => run.id === status.run);
    tracker.hear(status, clock.elapsed(), { isProved: (run) => said !== undefined && performer.isProved(run) });
  });
  service.on('exit', (lastExit) => {
    tracker.last = { ...tracker.last, lastExit };
  });
  const exited = new Set<Run>();
  let signal = new AbortController();

  const act = ({ event }: Step): Promise<void> | undefined => {
    const lives = performer.lives;
    const run = 'run' in event ? (event.run === 'present' ? lives.at(-1)?.run : lives.at(-2)?.run) : lives.at(-1)?.run;
    switch (event.do) {
      case 'start':
        void commands.watch('start', () => service.start());
        return;
      case 'start with a signal':
        signal = new AbortController();
        void commands.watch('start', () => service.start({ signal: signal.signal }));
        return;
      case 'fire the signal':
        signal.abort();
        return;
      case 'stop':
        void commands.watch('stop', () => service.stop());
        return;
      case 'stop at once':
        void commands.watch('stop', () => service.stop({ force: true }));
        return;
      case 'restart':
        void commands.watch('restart', () => service.restart());
        return;
      case 'ask health':
        void commands.watch('health', () => service.health());
        return;
      case 'fail':
        run?.fail(broken('crash'));
        return;
      case 'complete':
        run?.complete();
        return;
      case 'say':
        if (event.health === 'ready') performer.prove(run);
        run?.setHealth(event.health, 'it says so');
        return;
      case 'exit':
        if (!run || exited.has(run)) return;
        exited.add(run);
        run.reportExit({ code: 1, signal: null });
        run.fail(broken('it exited'));
        return;
      case 'mood':
        performer.mood = { ...performer.mood, ...event.mood };
        return;
      case 'pass':
        return clock.advance(event.ms);
    }
  };

  const check = () => {
    const { state } = service.status;
    if (passingStates.includes(state) && clock.elapsed() - tracker.enteredAt > longestEndMs) {
      problems.tell(`${state} since ${clock.elapsed() - tracker.enteredAt} ms`);
    }
    problems.expectNone();
    expect(tracker.last).toEqual(service.status);
  };

  for (const each of steps) {
    const { status } = service;
    const follows = act(each);
    // What is over has no say in what came after it.
    if ('run' in each.event && each.event.run === 'former') expect(service.status).toEqual(status);
    await follows;
    await pause(each.pause);
    check();
  }

  // Wherever it came to, there is a way out, and back in.
  performer.mood = goodMood;
  await clock.advance(longestEndMs);
  void commands.watch('stop', () => service.stop());
  await clock.advance(longestEndMs);
  check();
  expect(service.status).toMatchObject({ state: 'stopped' });
  void commands.watch('start', () => service.start());
  await clock.advance(longestEndMs);
  expect(service.status).toMatchObject({ state: 'running', health: 'ready' });
  void commands.watch('stop', () => service.stop());
  await clock.advance(longestEndMs);
  check();
  expect(service.status.state).toBe('stopped');
  expect({ open: commands.open, live: performer.live, sleepers: clock.sleepers }).toEqual({
    open: 0,
    live: 0,
    sleepers: 0,
  });
}

describe('the graph of states', () => {
  test.each(['service', 'instance'])('of a %s has a way from every state to one that is final by design', (which) => {
    const graph = which === 'service' ? serviceGraph : instanceGraph;
    const states = Object.keys(graph) as (keyof typeof graph)[];
    const lost = states.filter(
      (state) =>
        graph[state].length > 0 &&
        !finalStates.includes(state) &&
        !finalStates.some((each) => reachable(graph, state).has(each)),
    );
    expect(lost).toEqual([]);
  });
});

describe('a service', () => {
  test('never gets into an illegal state, whatever happens in whatever order', { timeout: patienceMs }, async () => {
    // Jitter apart, a seed is to repeat everything.
    using _ = vi.spyOn(Math, 'random').mockReturnValue(0.5);
    await tryAll(fc.record({ asked: askedArbitrary, steps: fc.array(step, { maxLength: 30 }) }), 200, play);
  });
});
