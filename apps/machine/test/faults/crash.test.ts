import { expect } from 'vitest';
import { isLong, type Patient, type Scenario, type Services, tryFaults } from './harness.ts';
import { canLimitMemory, limitMemory, markedProcesses } from './processes.ts';

/** Pauses that a scenario can wait for. */
const hurried = { backoff: { baseMs: 50, factor: 2, capMs: 400, jitter: 0 } };

/** `services:` of one subject that is well at first, or ill as told, and a healthy neighbour. */
const one =
  (alpha: object = {}, watchdog: Record<string, unknown> = { defaults: hurried }): Services =>
  (port) => ({
    watchdog,
    alpha: { enabled: true, port, ...alpha },
    beta: { enabled: true, port: port + 1 },
  });

/** The instance was started so many times, and its status counts as many restarts. */
async function expectStarts(patient: Patient, id: string, starts: number) {
  expect(await patient.startsOf(id), 'starts').toBe(starts);
  expect((await patient.instance(id)).attempt, 'attempt').toBe(starts - 1);
}

const neighbourIsWell = async (patient: Patient) => {
  await patient.untilReady('beta');
  await expectStarts(patient, 'beta', 1);
};

const givesUp = async (patient: Patient) => {
  const { reason } = await patient.until('alpha', { state: 'failed', until: expect.any(String) });
  expect(reason?.message).toMatch(/given up after 5 failures/);
};

const crashed = (
  words: string,
  kill: (patient: Patient) => Promise<unknown>,
  extra: Partial<Scenario> = {},
): Scenario => ({
  name: words,
  services: one(),
  async inject(patient) {
    const pid = await patient.pidOf('alpha');
    await kill(patient);
    await patient.untilGone(pid);
  },
  mustHold: {
    'it is ready again, as another process of another run': async (patient) => {
      await patient.until('alpha', { state: 'running', health: 'ready', attempt: 1 });
      await expectStarts(patient, 'alpha', 2);
    },
    'its neighbour goes on': neighbourIsWell,
  },
  ...extra,
});

const neverStarts = (why: string, command: readonly string[], extra: Partial<Scenario> = {}): Scenario => ({
  name: `F17 spawn errors: ${why}`,
  services: one({ command }),
  mustHold: {
    'permanent: not tried again': async (patient) => {
      const { reason, attempt, until } = await patient.until('alpha', { state: 'failed' });
      expect(JSON.stringify(reason)).toContain('CORE_PROCESS_SPAWN');
      expect({ attempt, until }).toEqual({ attempt: 0, until: undefined });
    },
    'its neighbour goes on': neighbourIsWell,
  },
  ...extra,
});

/** What hangs lives and does not answer: it is found by its liveness probe and replaced. */
const hung = (words: string, hang: (patient: Patient) => Promise<unknown>, extra: Partial<Scenario> = {}): Scenario =>
  crashed(`F8 ${words}`, hang, {
    mustHold: {
      'liveness kills it': async (patient) => {
        await patient.until('alpha', { state: 'running', health: 'ready', attempt: 1 });
        await expectStarts(patient, 'alpha', 2);
      },
      'its neighbour goes on': neighbourIsWell,
    },
    ...extra,
  });

tryFaults('a service falls ill', [
  crashed('crash after it was ready, by SIGKILL', (patient) => patient.kill('alpha')),
  crashed('crash after it was ready, by its own exit code', (patient) => patient.tell('alpha', { exit: 3 }), {}),
  crashed('crash after it was ready, by SIGSEGV', (patient) => patient.tell('alpha', { killed: 'SIGSEGV' }), {}),
  crashed('it ends with exit code 0, though it is a service', (patient) => patient.tell('alpha', { exit: 0 }), {}),
  crashed('F1 SIGKILL of the leader while its child holds the port', (patient) => patient.kill('alpha'), {
    short: true,
    services: one({ behaviour: { helper: 'group', helperListens: true } }),
    mustHold: {
      'orphan gone, service ready again on the same port': async (patient) => {
        await patient.until('alpha', { state: 'running', health: 'ready', attempt: 1 });
        await expect.poll(() => patient.helpersOf('alpha')).toHaveLength(1);
        await expectStarts(patient, 'alpha', 2);
      },
    },
  }),
  crashed(
    'F3 SIGKILL of the leader of a grandchild in a session of its own that ignores SIGTERM',
    (patient) => patient.kill('alpha'),
    {
      services: one({ behaviour: { helper: 'session', helperListens: true } }),
      mustHold: {
        'swept by its marker on crash': async (patient) => {
          await patient.until('alpha', { state: 'running', health: 'ready', attempt: 1 });
          await expect.poll(() => patient.helpersOf('alpha')).toHaveLength(1);
          await expectStarts(patient, 'alpha', 2);
        },
      },
    },
  ),
  crashed('F4 a grandchild keeps the output open after the leader died', (patient) => patient.kill('alpha'), {
    services: one({ behaviour: { helper: 'session' } }),
  }),
  crashed('zombies in the tree of one that crashes', (patient) => patient.kill('alpha'), {
    services: one({ behaviour: { zombie: true } }),
  }),
  {
    name: 'crash at start, twice',
    short: true,
    services: one({ behaviour: { exitAtStart: { code: 1, times: 2 } } }),
    mustHold: {
      'it is ready at the third attempt': async (patient) => {
        await patient.until('alpha', { state: 'running', health: 'ready', attempt: 2 });
        await expectStarts(patient, 'alpha', 3);
      },
      'its neighbour goes on': neighbourIsWell,
    },
  },
  {
    name: 'F5 instant crash loop',
    short: true,
    services: one({ behaviour: { exitAtStart: {} } }),
    mustHold: {
      'failed at 5': async (patient) => {
        await givesUp(patient);
        await expectStarts(patient, 'alpha', 5);
      },
      'another up re-arms it': async (patient) => {
        await patient.box.mgpu(['up', '--detach']);
        await expect.poll(() => patient.startsOf('alpha'), { timeout: 60_000 }).toBeGreaterThan(5);
        await givesUp(patient);
      },
      'its neighbour goes on': neighbourIsWell,
    },
  },
  {
    name: 'F5 instant crash loop of 64 instances',
    machine: { gpu: { mode: 'mock', count: 64 } },
    services: () => ({
      watchdog: { defaults: hurried, restartsPerMinute: 1_000 },
      engine: { enabled: true, command: ['sh', '-c', 'echo dies; exit 1'] },
    }),
    mustHold: {
      'each failed at 5': async (patient) => {
        await expect
          .poll(
            async () =>
              (await patient.status()).instances.filter(
                ({ id, state }) => id.startsWith('engine') && state !== 'failed',
              ),
            { timeout: 120_000, interval: 1_000 },
          )
          .toEqual([]);
        for (const { id, attempt, until } of (await patient.status()).instances) {
          if (!id.startsWith('engine')) continue;
          expect({ attempt, until }, id).toEqual({ attempt: 4, until: expect.any(String) });
        }
      },
    },
  },
  {
    name: 'F6 slow crash loop: ready, then dies, for ever',
    short: true,
    services: one({ behaviour: { dieAfterMs: 300 } }),
    mustHold: {
      'limit reached': async (patient) => {
        await givesUp(patient);
        await expectStarts(patient, 'alpha', 5);
      },
      'its neighbour goes on': neighbourIsWell,
    },
  },
  {
    name: 'slow start',
    services: one({ behaviour: { startMs: 2_000 } }),
    mustHold: {
      'it is waited for': async (patient) => {
        await patient.untilReady('alpha');
        await expectStarts(patient, 'alpha', 1);
      },
    },
  },
  {
    name: 'F7 never becomes ready',
    services: one({ behaviour: { neverReady: true }, startDeadlineMs: 1_000 }),
    mustHold: {
      'never reported ready; the cause is the start deadline': async (patient) => {
        const { reason } = await patient.until('alpha', { state: 'failed', until: expect.any(String) });
        expect(JSON.stringify(reason)).toContain('CORE_START_TIMEOUT');
        expect(patient.story()).not.toContain('alpha running');
      },
      'nothing of it is left': (patient) =>
        expect(markedProcesses(patient.root).filter(({ instance }) => instance === 'alpha')).toEqual([]),
    },
  },
  {
    name: 'F7 ready only after its deadline',
    services: one({ behaviour: { readyAfterMs: 1_500 }, startDeadlineMs: 500 }),
    mustHold: {
      'never reported ready': async (patient) => {
        await patient.until('alpha', { state: 'failed', until: expect.any(String) });
        expect(patient.story()).not.toContain('alpha running');
      },
    },
  },
  hung('SIGSTOP the leader', (patient) => patient.kill('alpha', 'SIGSTOP'), { short: true }),
  hung('accept but never answer', (patient) => patient.tell('alpha', { hang: 'silent' })),
  hung('an answer that never ends', (patient) => patient.tell('alpha', { hang: 'drip' })),
  {
    name: 'F9 flapping readiness',
    services: one({ behaviour: { flap: true } }),
    inject: () => new Promise((resolve) => setTimeout(resolve, isLong ? 60_000 : 3_000)),
    mustHold: {
      'zero restarts': async (patient) => {
        await expectStarts(patient, 'alpha', 1);
        expect(await patient.instance('alpha')).toMatchObject({ state: 'running' });
      },
      // The very first answer after the start is taken as it is.
      'hysteresis: one no in a row is none': (patient) =>
        expect(patient.story().match(/alpha running notReady/g)?.length ?? 0).toBeLessThan(2),
    },
  },
  {
    name: 'F10 the daemon killed during back-off',
    services: one(
      { behaviour: { exitAtStart: { times: 3 } } },
      { defaults: { backoff: { baseMs: 6_000, factor: 1, jitter: 0 } } },
    ),
    async inject(patient) {
      await patient.until('alpha', { state: 'backoff', attempt: 0 });
      await patient.until('alpha', { state: 'backoff', attempt: 1 });
      await patient.killDaemon();
    },
    mustHold: {
      'backoff and counters kept': async (patient) => {
        await patient.comesUp();
        await patient.until('alpha', { state: 'running', health: 'ready', attempt: 3 });
        await expectStarts(patient, 'alpha', 4);
        const [, since = ''] = patient.story().split('SIGKILL to the daemon');
        expect(since).not.toMatch(/alpha .*attempt 0/);
      },
      'its neighbour goes on': neighbourIsWell,
    },
  },
  {
    name: 'F10 the daemon killed after it gave up',
    services: one({ behaviour: { exitAtStart: {} } }),
    async inject(patient) {
      await givesUp(patient);
      // Kept a few milliseconds after it is told.
      await expect.poll(() => patient.kept('alpha')).toContain('"state":"failed"');
      await patient.killDaemon();
    },
    mustHold: {
      'it stays given up': async (patient) => {
        await patient.box.start(['up', '--detach', '--json']).ended;
        await givesUp(patient);
        expect(await patient.startsOf('alpha')).toBe(5);
      },
    },
  },
  {
    name: 'F10 an adopted instance crashes',
    services: one(),
    async inject(patient) {
      await patient.killDaemon();
      await patient.comesUp();
      await patient.untilReady('alpha');
      await patient.kill('alpha');
    },
    mustHold: {
      'it is ready again': async (patient) => {
        await patient.until('alpha', { state: 'running', health: 'ready', attempt: 1 });
        await expectStarts(patient, 'alpha', 2);
      },
      'its neighbour goes on': neighbourIsWell,
    },
  },
  {
    name: 'a critical service crashes at start',
    services: (port) => ({
      watchdog: { defaults: hurried },
      beta: { enabled: true, port },
      vital: { enabled: true, port: port + 1, behaviour: { exitAtStart: {} } },
    }),
    up: 1,
    mustHold: {
      'the boot fails and leaves nothing': ({ root }) => expect(markedProcesses(root)).toEqual([]),
    },
  },
  {
    name: 'a dependency dies, and comes back',
    services: (port) => ({ ...one()(port, ''), follower: { enabled: true, port: port + 2 } }),
    inject: (patient) => patient.kill('alpha'),
    mustHold: {
      'its dependents are not killed': async (patient) => {
        await patient.until('alpha', { state: 'running', health: 'ready', attempt: 1 });
        await patient.untilReady('follower');
        await expectStarts(patient, 'follower', 1);
      },
    },
  },
  neverStarts('no such program', ['/nowhere/program']),
  neverStarts('not to be executed', ['/etc/passwd']),
  neverStarts('an argument that is too long', ['true', 'x'.repeat(200_000)]),
  {
    name: 'the file that allows restarts is removed',
    short: true,
    services: one(),
    async inject(patient) {
      const { rm } = await import('node:fs/promises');
      await rm(`${patient.root}/alpha/restart_enabled`);
      await patient.kill('alpha');
    },
    mustHold: {
      'it is not restarted': (patient) => patient.until('alpha', { state: 'failed', attempt: 0 }),
      'touching it brings it back': async (patient) => {
        const { writeFile } = await import('node:fs/promises');
        await writeFile(`${patient.root}/alpha/restart_enabled`, '');
        await patient.untilReady('alpha');
        expect(await patient.startsOf('alpha')).toBe(2);
      },
    },
  },
  {
    name: 'OOM kill by the kernel, for a limit of its memory',
    skip: !canLimitMemory && 'no limit of memory can be set here',
    services: one(),
    async inject(patient) {
      const pid = await patient.pidOf('alpha');
      patient.defer(limitMemory(pid, 200));
      await patient.tell('alpha', { eatMiB: 400 });
      await patient.untilGone(pid);
    },
    mustHold: {
      'the kernel did it': async (patient) => {
        const { lastExit } = await patient.until('alpha', { attempt: 1 });
        expect(lastExit).toMatchObject({ signal: 'SIGKILL' });
      },
      'it is ready again': (patient) => patient.until('alpha', { state: 'running', health: 'ready', attempt: 1 }),
      'its neighbour goes on': neighbourIsWell,
    },
  },
]);
