import { readFile, rename, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { socketPathOf } from '@mgpu/control';
import { layoutOf } from '@mgpu/core';
import { expect } from 'vitest';
import { isLong, type Patient, tryFaults } from './harness.ts';
import { residentMiB } from './processes.ts';
import { pick, random } from './random.ts';

const two = (port: number) => ({ alpha: { enabled: true, port }, beta: { enabled: true, port: port + 1 } });

let before: Record<string, number | undefined> = {};
let memory = 0;

/** A raw connection to the daemon's socket. */
const open = (patient: Patient) =>
  new Promise<ReturnType<typeof connect>>((resolve, reject) => {
    const socket = connect(socketPathOf(layoutOf(patient.root)), () => resolve(socket));
    socket.on('error', reject);
    patient.defer(() => socket.destroy());
  });

const remember = async (patient: Patient) => {
  before = await patient.pids();
  memory = residentMiB((await patient.status()).daemon.pid);
};

const unaffected = async (patient: Patient) => {
  expect(await patient.pids()).toEqual(before);
  await patient.untilReady('alpha', 'beta');
};
const bounded = async (patient: Patient) =>
  expect(residentMiB((await patient.status()).daemon.pid) - memory).toBeLessThan(64);

/** What is wrong with a configuration, and the text that makes it so. */
const spoiled: Readonly<Record<string, (text: string) => string>> = {
  invalid: (text) => text.replace('enabled: true', 'enabled: perhaps'),
  'half-written': (text) => text.slice(0, text.length / 2),
  empty: () => '',
};

tryFaults('what is asked of the daemon', [
  ...Object.entries(spoiled).map(([name, spoil]) => ({
    name: `F19 ${name} configuration while it runs`,
    services: two,
    async inject(patient: Patient) {
      await remember(patient);
      const path = join(patient.box.dir, 'mgpu.config.yaml');
      const right = await readFile(path, 'utf8');
      await writeFile(path, spoil(right));
      patient.note(`up with it: ${(await patient.up()).code}`);
      await writeFile(path, right);
    },
    mustHold: {
      'nothing changes': unaffected,
      'unchanged pids identical after a valid one': async (patient: Patient) => {
        await patient.comesUp();
        await unaffected(patient);
      },
    },
  })),
  {
    name: 'F19 the configuration renamed, and the daemon killed meanwhile',
    services: two,
    async inject(patient) {
      await remember(patient);
      await patient.killDaemon();
      const path = join(patient.box.dir, 'mgpu.config.yaml');
      await writeFile(`${path}.right`, await readFile(path, 'utf8'));
      await writeFile(path, 'machine: [');
      expect((await patient.up()).code).not.toBe(0);
      await rename(`${path}.right`, path);
      await patient.comesUp();
    },
    mustHold: { 'nothing changes': unaffected },
  },
  {
    name: 'F20 dead subscribers and malformed requests',
    short: true,
    services: two,
    async inject(patient) {
      await remember(patient);
      const clients = await Promise.all(Array.from({ length: isLong ? 1_000 : 100 }, () => open(patient)));
      for (const socket of clients) {
        socket.pause(); // never read
        socket.write('GET /v1/events HTTP/1.1\r\nhost: mgpu\r\n\r\n');
      }
      for (let n = 0; n < 50; n++) {
        const socket = await open(patient);
        socket.on('error', () => {}); // the daemon hangs up
        const method = pick(['GET', 'POST', 'DELETE', 'PUT', 'BREW']);
        const path = pick(['/v1/status', '/v1/jobs/%00', '/v1/down', `/${'x'.repeat(5_000)}`, '/v1/jobs']);
        const body = Buffer.from(Array.from({ length: 64 }, () => Math.floor(random() * 256)));
        // Never `POST /v1/down` with a body it could read.
        socket.write(`${method} ${path} HTTP/1.1\r\ncontent-type: application/json\r\ncontent-length: 64\r\n\r\n`);
        socket.write(path === '/v1/down' ? Buffer.from('{'.repeat(64)) : body);
      }
    },
    mustHold: {
      'bounded memory': bounded,
      'no effect on supervision': unaffected,
    },
  },
]);
