import { setTimeout } from 'node:timers/promises';
import { expect } from 'vitest';
import { isLong, type Patient, tryFaults } from './harness.ts';
import { markedProcesses } from './processes.ts';
import { pick, random } from './random.ts';

const minutes = isLong ? Number(process.env.MGPU_FAULTS_MINUTES ?? 10) : 0.12;

const subjects = ['alpha', 'beta', 'gamma', 'engine_gpu0', 'engine_gpu1'];

type Strike = (patient: Patient) => Promise<unknown>;

/** On somebody who may be gone already: then that is how it is. */
const onSubject =
  (strike: (patient: Patient, id: string) => Promise<unknown>): Strike =>
  (patient) =>
    strike(patient, pick(subjects)).catch((error: Error) => patient.note(`missed: ${error.message.slice(0, 80)}`));

const strikes: readonly Strike[] = [
  onSubject((patient, id) => patient.kill(id)),
  onSubject((patient, id) => patient.kill(id, 'SIGTERM')),
  onSubject((patient, id) => patient.kill(id, 'SIGSTOP')),
  onSubject((patient, id) => patient.tell(id, { hang: pick(['silent', 'drip']) })),
  onSubject((patient, id) => patient.tell(id, { exit: pick([0, 1, 3]) })),
  onSubject((patient, id) => patient.tell(id, { flap: pick([true, false]) })),
  onSubject((patient, id) => patient.tell(id, { zombie: true })),
  onSubject((patient, id) => patient.tell(id, { ignoreTerm: true })),
  onSubject((patient, id) => patient.tell(id, { flood: Math.floor(random() * 20_000) })),
  onSubject(async (patient) => {
    const process = pick(markedProcesses(patient.root));
    if (process) globalThis.process.kill(process.pid, 'SIGKILL');
  }),
  async (patient) => {
    await patient.killDaemon();
    await setTimeout(random() * 500);
    await patient.comesUp({ partly: true });
  },
  async (patient) => {
    const up = patient.up();
    await setTimeout(random() * 1_000);
    await patient.killDaemon();
    await up;
    await patient.comesUp({ partly: true });
  },
  (patient) => patient.comesUp({ partly: true }),
];

tryFaults('everything at once', [
  {
    name: `at random, for ${minutes} minutes`,
    short: true,
    timeoutMs: minutes * 60_000,
    services: (port) => ({
      watchdog: {
        sweepMs: 1_000,
        restartsPerMinute: 1_000,
        defaults: { attempts: 100, backoff: { baseMs: 20, factor: 1.5, capMs: 500 } },
      },
      alpha: { enabled: true, port },
      beta: { enabled: true, port: port + 1, behaviour: { helper: 'session', helperListens: true } },
      gamma: { enabled: true, port: port + 2, behaviour: { helper: 'group', startMs: 200 } },
      engine: { enabled: true, port: port + 3 },
    }),
    async inject(patient) {
      const end = performance.now() + minutes * 60_000;
      while (performance.now() < end) {
        await pick(strikes)(patient);
        if (random() < 0.5) await patient.expectInvariants();
        else await setTimeout(random() * 300);
      }
    },
    mustHold: {
      'everything is ready again': async (patient) => {
        await patient.comesUp({ partly: true });
        // What was told to flap goes on doing so in its present run.
        for (const id of subjects) await patient.tell(id, { flap: false });
        await patient.untilReady(...subjects);
      },
      'every process that there is belongs to an instance': async (patient) => {
        const runs = (await patient.status()).instances.map(({ run }) => run);
        for (const each of markedProcesses(patient.root)) expect(runs, each.command).toContain(each.run);
      },
    },
  },
]);
