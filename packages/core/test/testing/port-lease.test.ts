import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { expectPortsFree, isPortFree, runCommand } from '@mgpu/core';
import { fakeClock, leasePorts } from '@mgpu/core/testing';
import { expect, onTestFinished, test } from 'vitest';
import { failureOf, fixture } from '../support.ts';

test('leases of processes that run at the same time never overlap', async () => {
  const { file, args } = fixture('leases-ports.mjs');
  const children = Array.from({ length: 4 }, () => spawn(file, args, { stdio: ['pipe', 'pipe', 'inherit'] }));
  onTestFinished(() => {
    for (const child of children) child.kill('SIGKILL');
  });
  const lines = await Promise.all(
    children.map(
      ({ stdout }) => new Promise<string>((resolve) => createInterface({ input: stdout }).once('line', resolve)),
    ),
  );
  const first = lines.flatMap((line) => line.split(' ').map(Number));
  expect(first).toHaveLength(40);
  expect(new Set(first).size).toBe(40);
  for (const port of first) {
    expect(port).toBeGreaterThanOrEqual(20_000);
    expect(port).toBeLessThan(32_000);
  }
});

/** How the kernel lists the names that are held. */
const isHeld = (first: number) => readFileSync('/proc/net/unix', 'utf8').includes(`@mgpu-ports-${first}\n`);

test('a lease has free ports in a row, and ends when it is given back', async () => {
  const ports = await leasePorts(5);
  for (let n = 0; n < ports.count; n++) expect(await isPortFree({ port: ports.first + n })).toBe(true);
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(ports.first, '127.0.0.1', resolve));
  expect(await isPortFree({ port: ports.first })).toBe(false);
  server.close();
  expect(isHeld(ports.first)).toBe(true);
  ports[Symbol.dispose]();
  expect(isHeld(ports.first)).toBe(false);
});

test('a lease ends with its holder, however that died', async () => {
  const { file, args } = fixture('leases-ports.mjs');
  const child = spawn(file, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  const line = await new Promise<string>((resolve) => createInterface({ input: child.stdout }).once('line', resolve));
  const first = line.split(' ').map(Number);
  expect(first.map(isHeld)).not.toContain(false);
  child.kill('SIGKILL');
  await once(child, 'exit');
  expect(first.map(isHeld)).not.toContain(true);
});

test('a lease does not keep its holder alive', async () => {
  const script = "import { leasePorts } from '@mgpu/core/testing'; await leasePorts(1);";
  const result = await runCommand(process.execPath, ['--input-type=module', '-e', script], {
    cwd: import.meta.dirname,
    timeoutMs: 20_000,
  });
  expect(result).toMatchObject({ ok: true });
});

test('a lease is not larger than a block', async () => {
  expect((await failureOf(leasePorts(41))).message).toBe('a lease has at most 40 ports, asked for 41');
});

test('a port of an address that is not ours is unusable, not taken', async () => {
  expect(await failureOf(isPortFree({ host: '192.0.2.1', port: 8188 }))).toMatchObject({
    code: 'CORE_PORT_UNUSABLE',
    message: 'port 8188 on 192.0.2.1 cannot be listened on: EADDRNOTAVAIL',
    hint: 'check that 192.0.2.1 is an address of this machine',
  });
});

test('nobody waits for a port once somebody hurries', async () => {
  using ports = await leasePorts(1);
  const server = createServer();
  onTestFinished(() => void server.close());
  await new Promise<void>((resolve) => server.listen(ports.first, '127.0.0.1', resolve));
  const waiting = expectPortsFree('it', [{ port: ports.first }], {
    clock: fakeClock(),
    ms: 60_000,
    hurry: AbortSignal.abort(),
  });
  expect(await failureOf(waiting)).toMatchObject({ code: 'CORE_PORT_IN_USE' });
});
