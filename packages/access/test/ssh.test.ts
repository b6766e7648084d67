import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadConfig, runCommand } from '@mgpu/core';
import { leasePorts, serviceConformance, testContext } from '@mgpu/core/testing';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { SshServerService, ssh } from '../src/index.ts';
import { environmentIn, hasSshd, listening, makeKey, temporaryFolder, user } from './support.ts';

const someKey = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl';

describe('without a server', () => {
  serviceConformance({ definition: ssh, config: {}, context: () => testContext({ kind: 'ssh' }), test });

  test('keys are kept in the account beside those of others, and go away again', async () => {
    const home = temporaryFolder();
    const path = join(home, '.ssh', 'authorized_keys');
    const { log } = listening();
    using context = testContext({ kind: 'ssh', env: environmentIn(home), log });
    const keep = (config: object) => ssh.create(ssh.schema.parse({ account: true, ...config }), context).start();
    await keep({ authorizedKeys: [someKey] });
    expect(readFileSync(path, 'utf8')).toBe(`# mgpu: begin\n${someKey}\n# mgpu: end\n`);
    expect([statSync(join(home, '.ssh')).mode & 0o777, statSync(path).mode & 0o777]).toEqual([0o700, 0o600]);
    writeFileSync(path, `# mine\n${readFileSync(path, 'utf8')}ssh-ed25519 of-a-friend`);
    const file = join(home, 'more');
    writeFileSync(file, `# a comment\n\n${someKey}\nrestrict ${someKey} two\n`);
    await keep({ authorizedKeys: [someKey], authorizedKeysFile: file });
    const whole = readFileSync(path, 'utf8');
    expect(whole).toBe(
      `# mine\nssh-ed25519 of-a-friend\n# mgpu: begin\n${someKey}\nrestrict ${someKey} two\n# mgpu: end\n`,
    );
    const before = statSync(path, { bigint: true }).ino;
    await keep({ authorizedKeysFile: file, authorizedKeys: [someKey] });
    expect(statSync(path, { bigint: true }).ino).toBe(before);
    await keep({});
    expect(readFileSync(path, 'utf8')).toBe('# mine\nssh-ed25519 of-a-friend\n');
  });

  test('keys that nothing is done with are a warning', async () => {
    const { log, lines } = listening();
    using context = testContext({ kind: 'ssh', env: environmentIn(temporaryFolder()), log });
    await ssh.create(ssh.schema.parse({ authorizedKeys: [someKey] }), context).start();
    expect(lines).toEqual([expect.stringMatching(/^warn: ssh: nothing is done with the public keys/)]);
  });

  test.each([
    ['-----BEGIN OPENSSH PRIVATE KEY-----', /line 1 is part of a private key/],
    [`${someKey}\ncommand="x" ${someKey}`, /line 1 has a line break/],
    [someKey.slice(0, -8), /line 1 is no public key, or not the whole of one/],
  ])('%j is no key', async (line, problem) => {
    using context = testContext({ kind: 'ssh' });
    const config = ssh.schema.parse({ authorizedKeys: [line] });
    await expect(ssh.create(config, context).start()).rejects.toMatchObject({
      code: 'ACCESS_AUTHORIZED_KEYS',
      message: expect.stringMatching(problem),
    });
    expect(await ssh.doctor?.(config, context)).toMatchObject([{ level: 'error' }]);
  });

  test('a variable has one key a line', async () => {
    const env = { SSH_AUTHORIZED_KEYS: `${someKey}\n\n${someKey} two\n` };
    const { config } = await loadConfig({ definitions: [ssh], cwd: '/nowhere', env });
    expect(config.services.ssh).toMatchObject({
      authorizedKeys: [someKey, `${someKey} two`],
      server: { enabled: false },
    });
  });
});

test('a program that is not there is named with the cure', async () => {
  using context = testContext({ kind: 'ssh', env: { PATH: '' } });
  const config = ssh.schema.parse({ authorizedKeys: [someKey], server: { enabled: true, program: '/nowhere/sshd' } });
  const missing = { code: 'CORE_PROGRAM_PATH', hint: expect.stringContaining('services.ssh.server.program') };
  const { layout, log, clock, env, machine } = context;
  const signal = new AbortController().signal;
  await expect(ssh.install?.({ layout, log, clock, env, machine, signal }, config)).rejects.toMatchObject(missing);
  expect(ssh.ports?.(config, [], [])).toEqual([{ instance: 'ssh', port: 2222 }]);
});

describe.skipIf(!hasSshd)('a server of our own', () => {
  describe('conforms', () => {
    const held = new AsyncDisposableStack();
    const server: Record<string, unknown> = { enabled: true };
    beforeAll(async () => {
      server.port = held.use(await leasePorts(1)).first;
    });
    afterAll(() => held.disposeAsync());
    // The suite reads its configuration while tests are collected: the port is only known later.
    const definition = {
      ...ssh,
      create: (_: never, context: Parameters<typeof ssh.create>[1]) =>
        ssh.create(ssh.schema.parse({ authorizedKeys: [someKey], server }), context),
    };
    const config = { authorizedKeys: [someKey], server: { enabled: true } };
    serviceConformance({ definition, config, context: () => testContext({ kind: 'ssh' }), test });
  });

  const loginArguments = (port: number, key: string) => {
    const options = ['BatchMode=yes', 'StrictHostKeyChecking=no', 'UserKnownHostsFile=/dev/null', 'IdentitiesOnly=yes'];
    const words = ['-F', 'none', '-p', String(port), '-i', key, ...options.flatMap((each) => ['-o', each])];
    return [...words, `${user}@127.0.0.1`];
  };
  const logIn = (port: number, key: string) =>
    runCommand('ssh', [...loginArguments(port, key), 'echo $((6*7))'], { timeoutMs: 20_000 });

  test('lets in whose key it has, for this account and by key alone, and is the same after a restart', async () => {
    const root = temporaryFolder();
    const [mine, other] = [makeKey(root, 'mine'), makeKey(root, 'other')];
    using lease = await leasePorts(1);
    const dir = join(root, 'a b');
    await using service = new SshServerService({ authorizedKeys: [mine.open], port: lease.first, dir });
    await service.start();
    expect(service.status).toMatchObject({ port: lease.first, health: 'ready' });
    expect(await logIn(lease.first, mine.file)).toMatchObject({ ok: true, stdout: '42' });
    const refused = await logIn(lease.first, other.file);
    expect(refused).toMatchObject({ exitCode: 255, stderr: expect.stringContaining('Permission denied (publickey)') });
    for (const name of ['authorized_keys', 'host_ed25519', 'sshd_config'])
      expect(statSync(join(service.configFolder, name)).mode & 0o777, name).toBe(0o600);
    expect(statSync(service.configFolder).mode & 0o777).toBe(0o700);
    const known = service.hostKeyFingerprint;
    expect(known).toMatch(/^SHA256:/);
    await service.restart();
    expect(service.hostKeyFingerprint).toBe(known);
  });

  test('gives a session nothing of our environment, and ends it when it stops', async () => {
    const root = temporaryFolder();
    const mine = makeKey(root, 'mine');
    using lease = await leasePorts(1);
    using context = testContext({ kind: 'ssh', root, env: { ...process.env, HF_TOKEN: 'a secret' } });
    const options = { authorizedKeys: [mine.open], port: lease.first };
    await using service = new SshServerService(options, context);
    await service.start();
    const session = spawn('ssh', [...loginArguments(lease.first, mine.file), 'env; echo in; read x'], {
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    onTestFinished(() => void session.kill('SIGKILL'));
    const ended = once(session, 'exit');
    let said = '';
    let complaint = '';
    const isIn = Promise.withResolvers<void>();
    session.stdout.on('data', (chunk) => {
      said += chunk;
      if (said.endsWith('in\n')) isIn.resolve();
    });
    session.stderr.on('data', (chunk) => {
      complaint += chunk;
    });
    await Promise.race([isIn.promise, ended.then(() => Promise.reject(new Error(`not let in: ${complaint}`)))]);
    expect(said).toContain('SSH_CONNECTION=');
    expect(said).not.toMatch(/MGPU_|HF_TOKEN|a secret/);
    await service.stop();
    const [code] = await ended;
    expect(code).toBe(255);
  });

  test('does not start where others could put keys, nor without a key', async () => {
    using lease = await leasePorts(1);
    const open = join(temporaryFolder(), 'open');
    mkdirSync(open);
    chmodSync(open, 0o777);
    const inTheOpen = new SshServerService({ authorizedKeys: [someKey], port: lease.first, dir: join(open, 'root') });
    await expect(inTheOpen.start()).rejects.toMatchObject({ code: 'ACCESS_PATH_OPEN', details: { path: open } });
    const keyless = new SshServerService({ port: lease.first });
    await expect(keyless.start()).rejects.toMatchObject({ code: 'ACCESS_NO_AUTHORIZED_KEY' });
    const quoted = new SshServerService({ authorizedKeys: [someKey], dir: join(temporaryFolder(), 'a"b') });
    await expect(quoted.start()).rejects.toMatchObject({ code: 'ACCESS_PATH_UNUSABLE' });
  });

  test('does not start with a configuration that sshd refuses', async () => {
    const root = temporaryFolder();
    const program = join(root, 'sshd');
    writeFileSync(program, '#!/bin/sh\necho "sshd_config: line 3: Bad configuration option" >&2\nexit 255\n', {
      mode: 0o755,
    });
    const service = new SshServerService({ authorizedKeys: [someKey], program, dir: root });
    await expect(service.start()).rejects.toMatchObject({
      code: 'ACCESS_SSHD_CONFIG',
      message: expect.stringContaining('line 3: Bad configuration option'),
    });
  });
});
