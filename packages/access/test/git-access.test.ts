import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { gitAccessFiles, loadConfig, redact, type ServiceStatus } from '@mgpu/core';
import { Git } from '@mgpu/core/git';
import { commitFiles, leasePorts, record, serviceConformance, testContext } from '@mgpu/core/testing';
import { describe, expect, onTestFinished, test } from 'vitest';
import { type GitAccessService, gitAccess, SshServerService } from '../src/index.ts';
import {
  environmentIn,
  hasSshd,
  type KeyPair,
  listening,
  makeKey,
  piecesOf,
  temporaryFolder,
  user,
} from './support.ts';

serviceConformance({
  definition: gitAccess,
  config: {},
  context: () => testContext({ kind: 'git-access' }),
  test,
});

/** The parts of a base64 text as the predecessor cut it. */
const partsOf = (base64: string) => ({ 1: base64.slice(0, 250), 2: base64.slice(250, 500), 3: base64.slice(500) });
const base64Of = ({ secret }: KeyPair) => Buffer.from(secret).toString('base64');

function accessOf(
  config: Record<string, unknown>,
  { log = listening().log, env = environmentIn('/nonexistent') } = {},
) {
  const context = testContext({ kind: 'git-access', log, env });
  const service = gitAccess.create(gitAccess.schema.parse({ logIn: [], ...config }), context) as GitAccessService;
  return { service, context, files: gitAccessFiles(context.layout), [Symbol.dispose]: () => context[Symbol.dispose]() };
}

test('the deploy key comes as text, as base64, in parts or from a file, and lies there for nobody else', async () => {
  const key = makeKey(temporaryFolder(), 'deploy');
  const file = join(temporaryFolder(), 'mounted');
  writeFileSync(file, key.secret.replaceAll('\n', '\r\n'), { mode: 0o644 });
  const ways = [
    { deployKey: key.secret },
    { deployKey: key.secret.trim().replaceAll('\n', '\\n') },
    { deployKey: base64Of(key) },
    { deployKeyParts: partsOf(base64Of(key)) },
    { deployKeyFile: file },
  ];
  for (const way of ways) {
    using held = accessOf(way);
    await held.service.start();
    expect(held.service.status).toMatchObject({ state: 'running', health: 'ready' });
    expect(held.service.fingerprint).toMatch(/^SHA256:/);
    const { folder } = held.files;
    expect(readFileSync(join(folder, 'deploy_key'), 'utf8')).toBe(key.secret);
    expect(readdirSync(folder).toSorted()).toEqual(['deploy_key', 'gitconfig', 'known_hosts', 'ssh_config']);
    for (const name of readdirSync(folder)) expect(statSync(join(folder, name)).mode & 0o777, name).toBe(0o600);
    for (const each of [folder, join(folder, '..')]) expect(statSync(each).mode & 0o777, each).toBe(0o700);
    await held.service.stop();
  }
});

test("the predecessors' variables are understood, and hidden where the configuration is shown", async () => {
  const key = makeKey(temporaryFolder(), 'deploy');
  const { 1: one, 2: two, 3: three } = partsOf(base64Of(key));
  const env = { CUT_PK_1: one, CUT_PK_2: two, CUT_PK_3: three };
  const { config } = await loadConfig({ definitions: [gitAccess], cwd: '/nowhere', env });
  expect(config.services['git-access']).toMatchObject({ deployKeyParts: partsOf(base64Of(key)) });
  expect(redact(config.services['git-access'])).toMatchObject({ enabled: true, deployKeyParts: '[redacted]' });
});

test('a key that cannot be used is said, never shown, and does not keep the rest from working', async () => {
  const dir = temporaryFolder();
  const [good, locked] = [makeKey(dir, 'good'), makeKey(dir, 'locked', { passphrase: 'hunter2' })];
  const { 1: one, 3: three } = partsOf(base64Of(good));
  const { log, lines } = listening();
  const cases = [
    [{ deployKeyParts: { 1: one, 3: three } }, /deployKeyParts cannot be used: part 2 is missing of 3/],
    [{ deployKeyParts: { 1: one } }, /not the whole of one/],
    [{ deployKey: locked.secret }, /it has a passphrase/],
    [{ deployKey: good.open }, /it is a public key/],
    [{ deployKey: good.secret.replace(/\n.{40}/, '\n') }, /damaged or cut short/],
    [{ deployKeyFile: join(dir, 'nowhere') }, /cannot be read \(ENOENT\)/],
  ] as const;
  for (const [config, reason] of cases) {
    using held = accessOf(config, { log });
    mkdirSync(held.files.folder, { recursive: true });
    writeFileSync(join(held.files.folder, 'deploy_key'), 'the key of yesterday');
    chmodSync(held.files.folder, 0o755);
    await held.service.start();
    const { state, health, reason: said } = held.service.status;
    expect({ state, health }).toEqual({ state: 'running', health: 'degraded' });
    expect(said?.message).toMatch(reason);
    expect(readdirSync(held.files.folder).toSorted()).toEqual(['gitconfig', 'known_hosts', 'ssh_config']);
    expect(statSync(held.files.folder).mode & 0o777).toBe(0o700);
    const [finding] = (await gitAccess.doctor?.(gitAccess.schema.parse(config), held.context)) ?? [];
    lines.push(JSON.stringify([held.service.status, finding]));
    await held.service.stop();
  }
  expect(lines.filter((line) => line.startsWith('warn'))).toHaveLength(cases.length);
  const text = lines.join('\n');
  for (const piece of [...piecesOf(good), ...piecesOf(locked), one, 'hunter2']) expect(text).not.toContain(piece);
});

test('who commits is the machine, after the account; known hosts and names cannot smuggle in more', async () => {
  const home = temporaryFolder();
  writeFileSync(join(home, '.gitconfig'), '[user]\nname = me\nemail = me@localhost\n[alias]\nx = status\n');
  const env = environmentIn(home);
  const identity = { name: 'Machine "0" \\ x', email: 'm@localhost' };
  using held = accessOf({ identity }, { env });
  await held.service.start();
  const repository = join(temporaryFolder(), 'repository');
  mkdirSync(repository);
  const git = new Git({ env: held.service.environment });
  await git.begin(repository, 'main');
  writeFileSync(join(repository, 'a'), '1');
  await git.commit(repository, ['a'], { message: 'x', author: { name: 'nobody', email: 'n@localhost' } });
  const show = execFileSync('git', ['log', '-1', '--format=%an <%ae>'], {
    cwd: repository,
    env: env as NodeJS.ProcessEnv,
  });
  expect(show.toString().trim()).toBe('Machine "0" \\ x <m@localhost>');
  await held.service.stop();
  for (const bad of [
    { knownHosts: ['a\nb'] },
    { identity: { name: 'a\n[core]', email: 'b' } },
    { logIn: ['-oProxyCommand=x@y'] },
  ])
    expect(gitAccess.schema.safeParse(bad).success, JSON.stringify(bad)).toBe(false);
});

describe.skipIf(!hasSshd)('at a Git host', () => {
  /** A server that is not ours as far as Git is concerned, with a repository. */
  async function openHost(authorized: string) {
    const held = new AsyncDisposableStack();
    const port = held.use(await leasePorts(1)).first;
    const server = held.use(new SshServerService({ authorizedKeys: [authorized], port }));
    await server.start();
    const dir = join(temporaryFolder(), 'repository');
    const commit = await commitFiles(dir, { file: 'private\n' });
    const hostKey = readFileSync(join(server.configFolder, 'host_ed25519.pub'), 'utf8').trim();
    const host = `ssh://${user}@127.0.0.1:${port}`;
    return {
      server,
      host,
      url: `${host}${dir}`,
      commit,
      knownHost: `[127.0.0.1]:${port} ${hostKey}`,
      [Symbol.asyncDispose]: () => held.disposeAsync(),
    };
  }

  const untilHealth = async (service: GitAccessService, health: string) => {
    if (service.status.health === health) return service.status;
    using statuses = record<ServiceStatus>(service, 'status');
    return await statuses.until((status) => status.health === health);
  };

  test('a private repository is had with the deploy key, and not without', async () => {
    const key = makeKey(temporaryFolder(), 'deploy');
    await using host = await openHost(key.open);
    using held = accessOf({ deployKey: key.secret, knownHosts: [host.knownHost], logIn: [host.host] });
    await held.service.start();
    expect(await untilHealth(held.service, 'ready')).toMatchObject({ state: 'running' });
    const target = join(temporaryFolder(), 'clone');
    expect(await new Git({ env: held.service.environment }).clone({ url: host.url }, target)).toBe(host.commit);
    await held.service.stop();

    using without = accessOf({ knownHosts: [host.knownHost] });
    await without.service.start();
    await expect(new Git({ env: without.service.environment }).remoteCommit({ url: host.url })).rejects.toMatchObject({
      code: 'CORE_GIT_REPOSITORY',
      details: { refused: true },
    });
    await without.service.stop();
  });

  test('it is said who does not let it in, who is not known, and who cannot be reached, each as often as it helps', async () => {
    const dir = temporaryFolder();
    const [key, other] = [makeKey(dir, 'key'), makeKey(dir, 'other')];
    await using host = await openHost(other.open);
    let knocks = 0;
    const shut = createServer((socket) => {
      knocks += 1;
      socket.destroy();
    });
    await once(shut.listen(0, '127.0.0.1'), 'listening');
    onTestFinished(() => void shut.close());
    const nobody = `ssh://git@127.0.0.1:${(shut.address() as AddressInfo).port}`;
    const cases = [
      [{ knownHosts: [host.knownHost], logIn: [host.host] }, /does not let the deploy key in: .*Permission denied/],
      [{ logIn: [host.host] }, /is not who it is known to be/],
      [{ logIn: [nobody] }, /could not be logged in at: .*[Cc]onnection/],
    ] as const;
    for (const [config, reason] of cases) {
      const { log, lines } = listening();
      using held = accessOf({ deployKey: key.secret, retryMs: 1, ...config }, { log });
      await held.service.start();
      expect((await untilHealth(held.service, 'degraded')).reason?.message).toMatch(reason);
      expect(lines.filter((line) => line.startsWith('warn'))).toHaveLength(1);
      await held.service.stop();
    }
    expect(knocks).toBe(3);
  });

  test('a host that lets it in later is found without anybody asking', async () => {
    const key = makeKey(temporaryFolder(), 'key');
    using lease = await leasePorts(1);
    const root = temporaryFolder();
    const options = { authorizedKeys: [key.open], port: lease.first, dir: root };
    let knownHost = '';
    {
      await using first = new SshServerService(options);
      await first.start();
      const hostKey = readFileSync(join(first.configFolder, 'host_ed25519.pub'), 'utf8').trim();
      knownHost = `[127.0.0.1]:${lease.first} ${hostKey}`;
    }
    const logIn = [`ssh://${user}@127.0.0.1:${lease.first}`];
    using held = accessOf({ deployKey: key.secret, knownHosts: [knownHost], logIn, attempts: 1, againMs: 1_000 });
    await held.service.start();
    await untilHealth(held.service, 'degraded');
    await using server = new SshServerService(options);
    await server.start();
    await untilHealth(held.service, 'ready');
    await held.service.stop();
  });
});
