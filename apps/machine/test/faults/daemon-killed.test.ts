import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync, watch } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { expect } from 'vitest';
import { type Patient, type Scenario, tryFaults } from './harness.ts';
import { recordsOf } from './invariants.ts';
import { lives, look, markedProcesses } from './processes.ts';
import type { Behaviour } from './subjects.ts';

const three = (port: number) => ({
  alpha: { enabled: true, port },
  beta: { enabled: true, port: port + 1 },
  engine: { enabled: true, port: port + 2 },
});
const all = ['alpha', 'beta', 'engine_gpu0', 'engine_gpu1'];

/** What appears below `run/`, and how long after it the daemon is killed. */
interface Moment {
  readonly sign: (root: string) => boolean;
  readonly afterMs?: number;
}

const isListening = (root: string) => existsSync(join(root, 'run', 'mgpu.sock'));
const isSpawned = (instance: string) => (root: string) =>
  recordsOf(root).some((each) => each.instance === instance && each.state === 'spawned');
/** The intent alone is on record too briefly to be seen with certainty: the kill falls on either side of the spawn. */
const isOnRecord = (instance: string) => (root: string) => recordsOf(root).some((each) => each.instance === instance);

async function killInBoot(patient: Patient, { sign, afterMs = 0 }: Moment) {
  const { root } = patient;
  const up = patient.box.start(['up', '--detach']);
  await expect.poll(() => existsSync(join(root, 'run')), { interval: 2 }).toBe(true);
  const seen = Promise.withResolvers<void>();
  const check = () => {
    if (sign(root)) seen.resolve();
  };
  const watcher = watch(join(root, 'run'), check);
  check();
  await seen.promise;
  watcher.close();
  await setTimeout(afterMs);
  await patient.killDaemon(recordsOf(root)[0]?.owner.pid);
  await up.ended;
}

/** The daemon killed in its first boot, then another one: nothing lives twice, and what was spawned goes on. */
const killedInBoot = (phase: string, moment: Moment, extra: Partial<Scenario> = {}): Scenario => ({
  name: `F10 the daemon killed in its boot: ${phase}`,
  services: (port) => ({ ...three(port), beta: { enabled: true, port: port + 1, behaviour: { startMs: 300 } } }),
  async inject(patient) {
    await patient.down();
    await killInBoot(patient, moment);
  },
  mustHold: {
    'restart adopts; no duplicate, no orphan': async (patient) => {
      const before = recordsOf(patient.root).filter((each) => each.state === 'spawned');
      await patient.comesUp();
      await patient.untilReady(...all);
      for (const each of before) expect(await patient.pidOf(each.instance), each.instance).toBe(each.pid);
    },
    'every process that there is belongs to an instance': async (patient) => {
      const pids = Object.values(await patient.pids()).filter((pid) => pid !== undefined);
      expect(
        markedProcesses(patient.root)
          .map(({ pid }) => pid)
          .toSorted(),
      ).toEqual(pids.toSorted());
    },
  },
  ...extra,
});

/** The daemon killed while it restarts an instance that crashed. */
const killedInRestart = (
  phase: string,
  behaviour: Behaviour,
  moment: (patient: Patient) => Promise<unknown>,
): Scenario => ({
  name: `F10 the daemon killed in a restart: ${phase}`,
  services: (port) => ({ alpha: { enabled: true, port, behaviour }, beta: { enabled: true, port: port + 1 } }),
  async inject(patient) {
    await patient.untilReady('alpha');
    await patient.kill('alpha');
    await moment(patient);
    await patient.killDaemon();
  },
  mustHold: {
    'no duplicate, no orphan, ready again': async (patient) => {
      await patient.comesUp();
      await patient.untilReady('alpha', 'beta');
      expect(await patient.startsOf('beta')).toBe(1);
    },
    'every process that there is belongs to a run': async (patient) => {
      const runs = (await patient.status()).instances.map(({ run }) => run);
      for (const each of markedProcesses(patient.root)) expect(runs, each.command).toContain(each.run);
    },
  },
  short: phase === 'while it cleans up',
});

/** A record that points to a process which is not the one it was about. */
const recordOfAnother = (
  name: string,
  spoil: (record: Record<string, unknown>, innocent: { pid: number; startTime: number }) => object,
): Scenario => {
  let innocent: { pid: number; startTime: number } | undefined;
  return {
    name: `F11 ${name}`,
    short: name.includes('another program'),
    services: (port) => ({ alpha: { enabled: true, port } }),
    async inject(patient) {
      const child = spawn('sleep', ['100000'], { detached: true, stdio: 'ignore' });
      patient.defer(() => child.kill('SIGKILL'));
      innocent = look(child.pid ?? 0);
      const pid = await patient.pidOf('alpha');
      await patient.killDaemon();
      process.kill(pid, 'SIGKILL');
      const path = join(patient.root, 'run', 'alpha.json');
      const record = JSON.parse(await readFile(path, 'utf8'));
      await writeFile(path, JSON.stringify({ ...record, ...spoil(record, innocent ?? { pid: 0, startTime: 0 }) }));
      await patient.comesUp();
    },
    mustHold: {
      'never signalled': () => expect(lives(innocent ?? { pid: 0, startTime: 0 })).toBe(true),
      'the instance runs, as another process': async (patient) => {
        await patient.untilReady('alpha');
        expect(await patient.pidOf('alpha')).not.toBe(innocent?.pid);
      },
      'nor when it is stopped': async (patient) => {
        await patient.expectGone();
        expect(lives(innocent ?? { pid: 0, startTime: 0 })).toBe(true);
        await patient.comesUp();
      },
    },
  };
};

tryFaults('the daemon is killed', [
  {
    name: 'F10 the daemon killed while all is well',
    short: true,
    services: three,
    inject: (patient) => patient.killDaemon(),
    mustHold: {
      'everything lives on': (patient) => expect(markedProcesses(patient.root)).toHaveLength(all.length),
      'restart adopts; pids unchanged': async (patient) => {
        const before = recordsOf(patient.root).map(({ instance, pid }) => [instance, pid]);
        await patient.comesUp();
        await patient.untilReady(...all);
        expect(await patient.pids()).toMatchObject(Object.fromEntries(before));
        for (const id of all) expect(await patient.instance(id)).toMatchObject({ adopted: true });
      },
      'a second up changes nothing': async (patient) => {
        const before = await patient.pids();
        await patient.comesUp();
        expect(await patient.pids()).toEqual(before);
      },
      'the same again, with what was adopted already': async (patient) => {
        const before = await patient.pids();
        await patient.killDaemon();
        await patient.comesUp();
        await patient.untilReady(...all);
        expect(await patient.pids()).toEqual(before);
        for (const id of all) expect(await patient.startsOf(id)).toBe(1);
      },
    },
  },
  killedInBoot('when it has taken the root', { sign: isListening }),
  killedInBoot('when the first record is there', { sign: isOnRecord('alpha') }),
  ...[2, 5, 10, 20, 50].map((afterMs) =>
    killedInBoot(`${afterMs} ms after the first record`, { sign: isOnRecord('alpha'), afterMs }),
  ),
  killedInBoot('when the first process is on record', { sign: isSpawned('alpha') }),
  killedInBoot('while it waits for a slow one', { sign: isSpawned('beta'), afterMs: 100 }),
  killedInRestart('while it cleans up', { helper: 'session', helperListens: true }, (patient) =>
    patient.until('alpha', { state: 'cleaning' }),
  ),
  killedInRestart('while it starts anew', { startMs: 1_500 }, (patient) =>
    patient.until('alpha', { state: 'starting' }),
  ),
  ...[0, 5, 10, 20, 50, 100, 200].map((ms) => killedInRestart(`${ms} ms after the crash`, {}, () => setTimeout(ms))),
  {
    name: 'F10 the daemon killed during a stop',
    services: (port) => ({
      alpha: { enabled: true, port, behaviour: { ignoreTerm: true }, graceMs: 20_000 },
      beta: { enabled: true, port: port + 1 },
    }),
    async inject(patient) {
      const down = patient.box.start(['down']);
      await patient.until('alpha', { state: 'stopping' });
      await expect.poll(async () => (await patient.instance('beta')).state).toBe('stopped');
      await patient.killDaemon();
      await down.ended;
    },
    mustHold: {
      'what was being stopped is not left alone': async (patient) => {
        await patient.comesUp();
        await patient.untilReady('alpha', 'beta');
        await patient.tell('alpha', { ignoreTerm: false });
      },
    },
  },
  {
    name: 'F10 the daemon killed while it does not answer any more',
    services: three,
    async inject(patient) {
      const { pid } = (await patient.status()).daemon;
      patient.daemonMayEnd();
      process.kill(pid, 'SIGSTOP');
      process.kill(pid, 'SIGKILL');
      await patient.untilGone(pid);
    },
    mustHold: {
      'restart adopts': async (patient) => {
        await patient.comesUp();
        for (const id of all) expect(await patient.startsOf(id)).toBe(1);
      },
    },
  },
  {
    name: 'a daemon killed, and its instances with it',
    services: three,
    async inject(patient) {
      const processes = markedProcesses(patient.root);
      await patient.killDaemon();
      for (const { pid } of processes) process.kill(pid, 'SIGKILL');
    },
    mustHold: {
      'everything starts anew': async (patient) => {
        await patient.comesUp();
        await patient.untilReady(...all);
        for (const id of all) expect(await patient.startsOf(id)).toBe(2);
      },
    },
  },
  {
    name: 'a daemon killed, and an instance taken out of the configuration',
    services: three,
    async inject(patient) {
      await patient.killDaemon();
      await patient.writeConfig(({ services, ...rest }: { services: object }) => ({
        ...rest,
        services: { ...services, beta: { enabled: false } },
      }));
      await patient.comesUp();
    },
    mustHold: {
      'it is ended, the others go on': async (patient) => {
        expect(
          markedProcesses(patient.root)
            .map(({ instance }) => instance)
            .toSorted(),
        ).toEqual(all.filter((id) => id !== 'beta'));
        expect(
          recordsOf(patient.root)
            .map(({ instance }) => instance)
            .toSorted(),
        ).toEqual(all.filter((id) => id !== 'beta'));
        expect(await patient.startsOf('alpha')).toBe(1);
      },
    },
  },
  {
    name: 'a daemon killed, and the settings of an instance changed',
    services: three,
    async inject(patient) {
      await patient.killDaemon();
      await patient.writeConfig(({ services, ...rest }: { services: Record<string, object> }) => ({
        ...rest,
        services: { ...services, beta: { ...services.beta, behaviour: { readyAfterMs: 1 } } },
      }));
      await patient.comesUp();
    },
    mustHold: {
      'it is adopted and marked outdated': async (patient) => {
        expect(await patient.instance('beta')).toMatchObject({ adopted: true, outdated: true, state: 'running' });
        expect((await patient.instance('alpha')).outdated).toBeUndefined();
      },
    },
  },
  {
    name: 'a daemon killed in the middle of a write',
    services: three,
    async inject(patient) {
      await patient.killDaemon();
      for (const name of ['alpha.json.3031234567', 'alpha.state.json.17', `beta.json.${randomUUID()}`])
        await writeFile(join(patient.root, 'run', name), '{"v":1,"inst');
    },
    mustHold: {
      'what it had begun to write counts for nothing': async (patient) => {
        await patient.comesUp();
        await patient.untilReady(...all);
        for (const id of all) expect(await patient.startsOf(id)).toBe(1);
      },
    },
    short: true,
  },
  {
    name: 'a process without a record, such as one whose record was lost',
    short: true,
    services: three,
    async inject(patient) {
      const pid = await patient.pidOf('beta');
      await patient.killDaemon();
      const path = join(patient.root, 'run', 'beta.json');
      await import('node:fs/promises').then(({ rm }) => rm(path));
      await patient.comesUp();
      await patient.untilGone(pid);
    },
    mustHold: {
      'it is ended, and runs once': async (patient) => {
        await patient.untilReady(...all);
        expect(await patient.startsOf('beta')).toBe(2);
      },
    },
  },
  recordOfAnother('a pid that is another program by now', (_, { pid }) => ({ pid })),
  recordOfAnother('a record of another boot of the host', (_, { pid, startTime }) => ({
    pid,
    startTime,
    bootId: '00000000-0000-4000-8000-000000000000',
  })),
]);
