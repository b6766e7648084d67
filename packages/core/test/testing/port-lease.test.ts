import { spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { isPortFree } from '@mgpu/core';
import { leasePorts } from '@mgpu/core/testing';
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

test('a lease has free ports in a row, and is free again when it is given back', async () => {
  const ports = await leasePorts(5);
  for (let n = 0; n < ports.count; n++) expect(await isPortFree({ port: ports.first + n })).toBe(true);
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(ports.first, '127.0.0.1', resolve));
  expect(await isPortFree({ port: ports.first })).toBe(false);
  server.close();
  ports[Symbol.dispose]();
});

test('a lease is not larger than a block', async () => {
  expect((await failureOf(leasePorts(41))).message).toBe('a lease has at most 40 ports, asked for 41');
});
