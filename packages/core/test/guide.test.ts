import { spawnSync } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { leasePorts } from '@mgpu/core/testing';
import { expect, onTestFinished, test } from 'vitest';
import { fixture, temporaryFolder } from './support.ts';

const guide = readFileSync(join(import.meta.dirname, '../../../docs/guides/write-a-service.md'), 'utf8');

test('the service of the guide, as it stands, passes the conformance suite, as the guide calls it', async () => {
  using ports = await leasePorts(1);
  const [definition = '', proof = ''] = [...guide.matchAll(/```ts\n(.*?)```/gs)].map(([, example]) => example);
  const script = `${definition.replaceAll('11434', String(ports.first))}\n${proof.replace("'vitest'", "'node:test'")}`;
  // Beside the tests, where the packages are found by their names.
  const file = join(import.meta.dirname, 'fixtures', `guide-${process.pid}.ts`);
  onTestFinished(() => rmSync(file, { force: true }));
  writeFileSync(file, script);
  const bin = temporaryFolder();
  const server = fixture('llama-server.mjs');
  writeFileSync(join(bin, 'llama-server'), `#!/bin/sh\nexec '${server.file}' '${server.args[0]}' "$@"\n`, {
    mode: 0o755,
  });
  const env = { ...process.env, PATH: [bin, process.env.PATH].join(delimiter) };
  const { stdout, stderr, status } = spawnSync(process.execPath, [file], { encoding: 'utf8', env, timeout: 100_000 });
  expect(status, `${stdout}${stderr}`).toBe(0);
  expect(stdout).toMatch(/llama: /);
}, 110_000);
