import { expect } from 'vitest';
import { tryFaults } from './harness.ts';
import { markedProcesses } from './processes.ts';

const expectEmpty = (root: string) => expect(markedProcesses(root).map(({ command }) => command)).toEqual([]);

tryFaults('what does not want to end', [
  {
    name: 'F2 a leader obeys SIGTERM, a child in the same group ignores it',
    services: (port) => ({ alpha: { enabled: true, port, behaviour: { helper: 'group' } } }),
    async inject(patient) {
      await expect.poll(() => patient.helpersOf('alpha')).toHaveLength(1);
      await patient.down();
    },
    mustHold: { 'stop escalates and returns only when empty': ({ root }) => expectEmpty(root) },
  },
  {
    name: 'F3 a grandchild forked twice into a session of its own ignores SIGTERM and holds the port',
    short: true,
    services: (port) => ({ alpha: { enabled: true, port, behaviour: { helper: 'session', helperListens: true } } }),
    async inject(patient) {
      await expect.poll(() => patient.helpersOf('alpha')).toHaveLength(1);
      await patient.down();
    },
    mustHold: {
      'swept by its marker on stop': ({ root }) => expectEmpty(root),
      'its port is free for the next start': (patient) => patient.comesUp(),
    },
  },
  {
    name: 'SIGTERM is ignored',
    services: (port) => ({
      alpha: { enabled: true, port, behaviour: { ignoreTerm: true } },
      beta: { enabled: true, port: port + 1 },
    }),
    inject: (patient) => patient.down(),
    mustHold: { 'it is killed after its grace': ({ root }) => expectEmpty(root) },
  },
  {
    name: 'SIGTERM is ignored, and the operator has no patience',
    services: (port) => ({ alpha: { enabled: true, port, behaviour: { ignoreTerm: true }, graceMs: 10_000_000 } }),
    async inject(patient) {
      const down = patient.box.start(['down']);
      await patient.until('alpha', { state: 'stopping' });
      expect(await patient.down('--force')).toMatchObject({ code: 0 });
      expect(await down.ended).toMatchObject({ code: 0 });
    },
    mustHold: { 'it is killed at once': ({ root }) => expectEmpty(root) },
  },
  {
    name: 'the daemon gets SIGTERM twice',
    short: true,
    services: (port) => ({ alpha: { enabled: true, port, behaviour: { ignoreTerm: true }, graceMs: 10_000_000 } }),
    async inject(patient) {
      const { pid } = (await patient.status()).daemon;
      patient.daemonMayEnd();
      process.kill(pid, 'SIGTERM');
      await patient.until('alpha', { state: 'stopping' });
      process.kill(pid, 'SIGTERM');
      await patient.untilGone(pid);
    },
    mustHold: { 'it stops fast, and leaves nothing': ({ root }) => expectEmpty(root) },
  },
  {
    name: 'an instance is stopped by SIGSTOP when the machine goes down',
    services: (port) => ({ alpha: { enabled: true, port } }),
    async inject(patient) {
      await patient.kill('alpha', 'SIGSTOP');
      await patient.down();
    },
    mustHold: { 'it is ended all the same': ({ root }) => expectEmpty(root) },
  },
  {
    name: 'zombies in the tree',
    short: true,
    services: (port) => ({ alpha: { enabled: true, port, behaviour: { zombie: true } } }),
    async inject(patient) {
      await expect.poll(() => patient.helpersOf('alpha')).toHaveLength(1);
      await patient.down();
    },
    mustHold: { 'they keep nobody from stopping': ({ root }) => expectEmpty(root) },
  },
]);
