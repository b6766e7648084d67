import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ProcessSpec, Run } from '@mgpu/core';
import { expect, test } from 'vitest';
import { eventually, failureOf, fixture, isAlive, Program, program, readRecord, temporaryFolder } from '../support.ts';
import { host } from './host.ts';

/** A service whose daemon was killed, and one that takes its place. */
async function orphan({
  spec = fixture('counts.mjs'),
  survive = true,
}: {
  spec?: ProcessSpec;
  survive?: boolean;
} = {}) {
  const root = temporaryFolder();
  const { child, exited, pid, log } = await host(root, 'survive', 'stay');
  const former = JSON.parse(readFileSync(`${root}/run/counter.json`, 'utf8'));
  child.kill('SIGKILL');
  await exited;
  return { ...program({ spec }, { kind: 'counter', root, survive }), pid, log, former };
}

test('a process whose daemon was killed goes on as the same run of the next one', async () => {
  const { service, context, pid, former } = await orphan();
  await service.start();
  expect(service.status).toMatchObject({ state: 'running', pid, run: former.run, adopted: true });
  expect(service.status.outdated).toBeUndefined();
  expect(readRecord(context)).toMatchObject({ pid, run: former.run, owner: { pid: process.pid } });
});

test('its output stays one stream', async () => {
  const { service, log } = await orphan();
  await service.start();
  const { size } = statSync(log);
  await eventually(() => statSync(log).size > size + 20, 'more output');
  const numbers = [...readFileSync(log, 'utf8').matchAll(/^n=(\d+)$/gm)].map(([, n]) => Number(n));
  expect(numbers).toEqual(numbers.map((_, index) => index + 1));
});

test('it is marked when it would be started otherwise today', async () => {
  const { service, pid } = await orphan({ spec: { ...fixture('counts.mjs'), env: { ADDED: '1' } } });
  await service.start();
  expect(service.status).toMatchObject({ state: 'running', pid, outdated: true });
});

test('its end is noticed, and nobody claims to know how it ended', async () => {
  const { service, pid } = await orphan();
  await service.start();
  process.kill(pid, 'SIGKILL');
  await eventually(() => service.status.state === 'failed', 'its end');
  expect(service.status).toMatchObject({
    lastExit: { code: null, signal: null },
    reason: { code: 'CORE_PROCESS_EXITED' },
  });
  expect(service.status.reason?.message).toMatch(/^counter: the process ended; its last words: n=\d+ /);
  expect(service.status.adopted).toBeUndefined();
});

test('a stop ends it, and the next start is a new run', async () => {
  const { service, context, pid, former } = await orphan();
  await service.start();
  await service.stop();
  expect(isAlive(pid)).toBe(false);
  expect(readRecord(context)).toBeUndefined();
  await service.start();
  expect(service.status.run).not.toBe(former.run);
  expect(service.status.adopted).toBeUndefined();
});

test('a service that is used alone ends it instead', async () => {
  const { service, pid } = await orphan({ survive: false });
  await service.start();
  expect(isAlive(pid)).toBe(false);
  expect(service.status.adopted).toBeUndefined();
});

test('what was still getting ready has to prove that it is', async () => {
  const root = temporaryFolder();
  const { child, exited, pid } = await host(root, 'survive', 'unready');
  child.kill('SIGKILL');
  await exited;
  const probes = {
    startup: {
      probe: { description: 'no', attempt: async () => ({ outcome: 'fail' as const, reason: 'no' }) },
      deadlineMs: 50,
    },
  };
  const { service } = program({ spec: fixture('counts.mjs'), probes }, { kind: 'counter', root });
  expect(await failureOf(service.start())).toMatchObject({ code: 'CORE_START_TIMEOUT' });
  expect(isAlive(pid)).toBe(false);
});

test('it is ended before what was prepared for it is released', async () => {
  const { context, pid } = await orphan();
  let wasAlive: boolean | undefined;
  class Prepared extends Program {
    protected override async onPrepare(run: Run): Promise<void> {
      run.defer(() => {
        wasAlive = isAlive(pid);
      });
    }
  }
  const service = new Prepared({ spec: fixture('counts.mjs') }, context);
  await service.start();
  await service.stop();
  expect(wasAlive).toBe(false);
});

test('a record that a crash of the host has torn is none', async () => {
  const { service, context } = program({ spec: fixture('stays.mjs') });
  mkdirSync(context.layout.run, { recursive: true });
  writeFileSync(join(context.layout.run, 'program.json'), '');
  await service.start();
  expect(readRecord(context)).toMatchObject({ pid: service.pid });
});

test('a log that cannot be kept leaves it as it was found', async () => {
  const { service, context, pid, log, former } = await orphan();
  writeFileSync(`${log}.journal`, JSON.stringify({ v: 99 }));
  await failureOf(service.start());
  expect(isAlive(pid)).toBe(true);
  expect(readRecord(context)).toMatchObject({ pid, owner: former.owner });
});
