import { once } from 'node:events';
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
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
  new Promise<Socket>((resolve, reject) => {
    const socket = connect(socketPathOf(layoutOf(patient.root)), () => resolve(socket));
    socket.on('error', reject); // of no effect once it is connected: the daemon may hang up
    patient.defer(() => socket.destroy());
  });

/** Resolves with the beginning of the answer. */
async function ask(socket: Socket, path: string): Promise<string> {
  const answered = once(socket, 'data');
  socket.write(`GET ${path} HTTP/1.1\r\nhost: mgpu\r\n\r\n`);
  const [bytes] = await answered;
  return String(bytes);
}

/** So many that have asked for this, one hundred after the other: the system lets only some hundred wait to be taken. */
async function openMany(patient: Patient, count: number, path: string): Promise<Socket[]> {
  const sockets: Socket[] = [];
  while (sockets.length < count) {
    const some = await Promise.all(Array.from({ length: Math.min(100, count - sockets.length) }, () => open(patient)));
    await Promise.all(some.map((socket) => ask(socket, path)));
    sockets.push(...some);
  }
  return sockets;
}

/** Resolves when what the kernel kept for it is read and nobody is left at the other end. */
const untilCutOff = (socket: Socket) =>
  new Promise<void>((resolve) => {
    if (socket.closed) return resolve();
    socket.once('close', () => resolve());
    socket.resume();
  });

const crowd = isLong ? 1_000 : 100;
let dead: Socket[] = [];
let most = 0;

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

/** What becomes of a configuration file with this text. */
const spoiled: Readonly<Record<string, (path: string, text: string) => Promise<unknown>>> = {
  invalid: (path, text) => writeFile(path, text.replace('enabled: true', 'enabled: perhaps')),
  'half-written': (path, text) => writeFile(path, text.slice(0, text.length / 2)),
  'half-written, in the middle of a word': (path, text) => writeFile(path, text.slice(0, text.indexOf('root: ') + 3)),
  empty: (path) => writeFile(path, ''),
  removed: (path) => rm(path),
  'renamed away': (path) => rename(path, `${path}.old`),
  'half of another, renamed into its place': async (path, text) => {
    await writeFile(`${path}.new`, text.replaceAll('enabled: true', 'enabled: false').slice(0, text.length / 2));
    await rename(`${path}.new`, path);
  },
};

tryFaults('what is asked of the daemon', [
  ...Object.entries(spoiled).map(([name, spoil]) => ({
    name: `F19 configuration ${name}, while it runs`,
    short: name === 'half-written',
    services: two,
    async inject(patient: Patient) {
      await remember(patient);
      const path = join(patient.box.dir, 'mgpu.config.yaml');
      const right = await readFile(path, 'utf8');
      await spoil(path, right);
      // There is a machine at this root: whatever the file says of others, it is the one that is meant.
      const up = await patient.box.mgpu(['up', '--detach', '--root', patient.root]);
      patient.note(`up with it: ${up.code} ${up.stderr}`);
      await writeFile(`${path}.right`, right);
      await rename(`${path}.right`, path);
    },
    mustHold: {
      'nothing changes': unaffected,
      'unchanged pids identical after a valid one': async (patient: Patient) => {
        await patient.comesUp();
        await unaffected(patient);
      },
      'nor after one that says something else of another': async (patient: Patient) => {
        await patient.writeConfig(({ services, ...rest }: { services: Record<string, object> }) => ({
          ...rest,
          services: { ...services, beta: { ...services.beta, behaviour: { readyAfterMs: 1 } } },
        }));
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
    name: `F20 ${crowd} subscribers that never read, and one that does`,
    machine: { gpu: { mode: 'mock', count: 16 } },
    services: (port) => ({ ...two(port), engine: { enabled: true, command: ['/nowhere/program'] } }),
    async inject(patient) {
      await remember(patient);
      dead = await openMany(patient, crowd, '/v1/events');
      for (const socket of dead) socket.pause();
      const reader = await open(patient);
      await ask(reader, '/v1/events');
      let read = 0;
      reader.on('data', (bytes: Buffer) => {
        read += bytes.length;
      });
      // Each of the engines is tried again, and all that comes of it is told.
      while (read < 3_000_000 && !reader.destroyed) {
        await patient.client.up();
        most = Math.max(most, residentMiB((await patient.status()).daemon.pid));
      }
      patient.note(`${Math.round(most - memory)} MiB more at most`);
      expect(reader.destroyed, 'the one that reads is cut off').toBe(false);
    },
    mustHold: {
      // A connection costs something by itself, too.
      'bounded memory': () => expect(most - memory).toBeLessThan(64 + crowd / 8),
      'whoever falls behind is cut off': () => Promise.all(dead.map(untilCutOff)),
      'and begins anew with how things stand': async (patient) => {
        for await (const { event } of patient.client.events()) {
          expect(event).toBe('snapshot');
          break;
        }
      },
      'no effect on supervision': unaffected,
    },
  },
  {
    name: `F20 ${crowd} clients at once`,
    services: two,
    async inject(patient) {
      await remember(patient);
      const clients = await openMany(patient, crowd, '/v1/status');
      await patient.kill('alpha');
      const answers = await Promise.all(clients.map((socket) => ask(socket, '/v1/status')));
      expect(answers.filter((answer) => !answer.startsWith('HTTP/1.1 200 '))).toEqual([]);
    },
    mustHold: {
      'bounded memory': bounded,
      'no effect on supervision': async (patient) => {
        await patient.until('alpha', { state: 'running', health: 'ready', attempt: 1 });
        expect(await patient.pidOf('beta')).toBe(before.beta);
      },
    },
  },
  {
    name: 'F20 malformed requests, and requests that never end',
    short: true,
    services: two,
    async inject(patient) {
      await remember(patient);
      const noise = (bytes: number) => Buffer.from(Array.from({ length: bytes }, () => Math.floor(random() * 256)));
      for (let n = 0; n < 50; n++) {
        const socket = await open(patient);
        const method = pick(['GET', 'POST', 'DELETE', 'PUT', 'BREW']);
        const path = pick(['/v1/status', '/v1/jobs/%00', '/v1/down', `/${'x'.repeat(5_000)}`, '/v1/jobs']);
        const head = `${method} ${path} HTTP/1.1\r\ncontent-type: application/json\r\ncontent-length: 64\r\n\r\n`;
        // Never `POST /v1/down` with a body it could read.
        const body = path === '/v1/down' ? Buffer.from('{'.repeat(64)) : noise(64);
        socket.write(
          pick([
            Buffer.concat([Buffer.from(head), body]),
            head, // its body never comes
            head.slice(0, Math.floor(random() * head.length)),
            noise(256),
            `POST /v1/jobs HTTP/1.1\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n`,
          ]),
        );
      }
      expect(await patient.client.status()).toMatchObject({ state: 'running' });
    },
    mustHold: {
      'bounded memory': bounded,
      'no effect on supervision': unaffected,
    },
  },
]);
