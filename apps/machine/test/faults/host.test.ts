import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { expect } from 'vitest';
import { type Patient, type Scenario, tryFaults } from './harness.ts';
import { residentMiB } from './processes.ts';
import { canMount, mountSmall } from './small-disk.ts';

const hurried = { defaults: { backoff: { baseMs: 200, factor: 1, jitter: 0 }, attempts: 100 } };
const two = (port: number) => ({
  watchdog: hurried,
  alpha: { enabled: true, port },
  beta: { enabled: true, port: port + 1 },
});

/** Somebody else listens on a port. */
async function steal(patient: Patient, port: number): Promise<() => Promise<void>> {
  const server = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  const free = () => new Promise<void>((resolve) => server.close(() => resolve()));
  patient.defer(free);
  return free;
}

const full = 8 * 1024 * 1024;

const onSmallDisk: Pick<Scenario, 'skip' | 'services'> = {
  skip: !canMount && 'no file system can be mounted here',
  services: two,
};

let memory = 0;
let free = async () => {};

tryFaults('the host', [
  {
    name: 'port stolen before the start',
    services: two,
    before: (patient) => steal(patient, patient.box.port),
    mustHold: {
      'it says who has the port, and kills nobody': async (patient) => {
        const isInUse = (reason?: { code?: string; cause?: { code?: string } }) =>
          [reason?.code, reason?.cause?.code].includes('CORE_PORT_IN_USE');
        const { reason } = await patient.until('alpha', { reason: expect.toSatisfy(isInUse) });
        expect(JSON.stringify(reason)).toContain(String(process.pid));
      },
      'others go on': (patient) => patient.untilReady('beta'),
    },
  },
  {
    name: 'port stolen between two runs',
    services: (port) => ({
      ...two(port),
      watchdog: { defaults: { backoff: { baseMs: 2_000, factor: 1, jitter: 0 }, attempts: 100 } },
    }),
    async inject(patient) {
      await patient.kill('alpha');
      await patient.until('alpha', { state: 'running', health: 'ready', attempt: 1 });
      // The second restart in a row has to wait: time enough to be there first.
      await patient.kill('alpha');
      await patient.until('alpha', { state: 'backoff' });
      free = await steal(patient, patient.box.port);
    },
    mustHold: {
      'it says who has the port, and kills nobody': async (patient) => {
        const { reason } = await patient.until('alpha', {
          state: 'backoff',
          reason: { message: expect.stringContaining(`is in use by process ${process.pid}`) },
        });
        expect(reason?.message).toContain(String(patient.box.port));
        await patient.untilReady('beta');
      },
      'it is ready again by itself once the port is free': async (patient) => {
        await free();
        await patient.untilReady('alpha', 'beta');
      },
    },
  },
  {
    name: 'log full disk: the file system of an instance has no room',
    short: true,
    ...onSmallDisk,
    before: (patient) => mountSmall(patient, join(patient.root, 'alpha'), full),
    async inject(patient) {
      memory = residentMiB((await patient.status()).daemon.pid);
      // Twice what there is room for.
      await patient.tell('alpha', { flood: (2 * full) / 1_000 });
      await expect
        .poll(() => execFileSync('df', ['--output=avail', join(patient.root, 'alpha')], { encoding: 'utf8' }))
        .toMatch(/\n\s*0\n/);
      await new Promise((resolve) => setTimeout(resolve, 2_000));
    },
    mustHold: {
      'disk full never stops a service': async (patient) => {
        await patient.untilReady('alpha', 'beta');
        expect(await patient.startsOf('alpha')).toBe(1);
      },
      'daemon alive, RSS < +64 MB': async (patient) =>
        expect(residentMiB((await patient.status()).daemon.pid) - memory).toBeLessThan(64),
    },
  },
  {
    name: 'run folder on a full disk',
    ...onSmallDisk,
    before: (patient) => mountSmall(patient, join(patient.root, 'run'), full),
    async inject(patient) {
      execFileSync('sh', ['-c', `head -c ${2 * full} /dev/zero > ${join(patient.root, 'run', 'filler')} || true`], {
        stdio: 'ignore',
      });
      await patient.kill('alpha');
    },
    mustHold: {
      'the machine goes on, and recovers when there is room': async (patient) => {
        await patient.untilReady('beta');
        await rm(join(patient.root, 'run', 'filler'));
        await expect
          .poll(() => patient.instance('alpha'), { timeout: 30_000 })
          .not.toMatchObject({ state: 'running', attempt: 0 });
        if ((await patient.instance('alpha')).state === 'failed') await patient.comesUp();
        await patient.untilReady('alpha');
      },
      'without a trace on its own file system': async (patient) => {
        await patient.down();
        execFileSync('umount', ['--lazy', join(patient.root, 'run')]);
        execFileSync('mount', ['-t', 'tmpfs', 'none', join(patient.root, 'run')]); // what is deferred takes it away
        await patient.comesUp();
      },
    },
  },
  {
    name: 'log FIFO: the output file of an instance is a pipe that nobody reads',
    short: true,
    services: two,
    before(patient) {
      mkdirSync(join(patient.root, 'alpha', 'logs'), { recursive: true });
      execFileSync('mkfifo', [join(patient.root, 'alpha', 'logs', 'output.log')]);
    },
    mustHold: {
      'the daemon does not hang; the instance says what is wrong': async (patient) => {
        await patient.untilReady('beta');
        await expect
          .poll(async () => (await patient.instance('alpha')).reason?.message ?? '', { timeout: 30_000 })
          .toMatch(/log/);
      },
      'it starts when that is put right': async (patient) => {
        await rm(join(patient.root, 'alpha', 'logs', 'output.log'));
        await patient.comesUp();
        await patient.untilReady('alpha');
      },
    },
  },
  {
    name: 'the root vanishes below a living daemon',
    services: two,
    async inject(patient) {
      patient.daemonMayEnd(); // it may notice
      await rename(patient.root, `${patient.root}.elsewhere`);
      await new Promise((resolve) => setTimeout(resolve, 3_000));
      await rename(`${patient.root}.elsewhere`, patient.root);
    },
    mustHold: {
      'nothing of it stays alone': async (patient) => {
        await patient.comesUp();
        await patient.untilReady('alpha', 'beta');
      },
    },
  },
]);
