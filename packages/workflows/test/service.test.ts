import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { loggerTo, type ServiceStatus } from '@mgpu/core';
import { record, serviceConformance, testContext } from '@mgpu/core/testing';
import { expect, test } from 'vitest';
import { type SyncReport, type WorkflowsService, workflows } from '../src/index.ts';
import { env, filesIn, Shared, serverWith, write } from './support.ts';

serviceConformance({
  definition: workflows,
  config: {},
  context: () => testContext({ kind: 'workflows', env }),
  test,
});

/** Long enough that nothing happens by the clock alone. */
const never = 100_000_000;

function serviceOf(shared: Shared, config: Record<string, unknown> = {}) {
  const lines: string[] = [];
  const log = loggerTo((level, message) => void lines.push(`${level}: ${message}`));
  const context = testContext({ kind: 'workflows', env, log, root: join(shared.root, 'root') });
  const options = { url: shared.url, intervalMs: never, settleMs: 10, ...config };
  const service = workflows.create(workflows.schema.parse(options), context) as WorkflowsService;
  return { service, lines, dir: service.dir, context };
}

// The suite reads its configuration while tests are collected: each case has a repository of its own.
let url = '';
serviceConformance({
  definition: {
    ...workflows,
    create: (config, context) => workflows.create({ ...config, url, intervalMs: never }, context),
  },
  config: {},
  context: () => {
    url = new Shared().url;
    return testContext({ kind: 'workflows', env });
  },
  test: (name, body) => test(`with a repository, ${name}`, body),
});

test('without a repository it is completed, and makes no folder', async () => {
  using context = testContext({ kind: 'workflows', env });
  const service = workflows.create(workflows.schema.parse({}), context) as WorkflowsService;
  await service.start();
  expect(service.status.state).toBe('completed');
  expect(existsSync(service.dir)).toBe(false);
  expect(await workflows.doctor?.(workflows.schema.parse({}), context)).toMatchObject([{ level: 'ok' }]);
});

test('an edit is shared as soon as it is there, and others come when it looks', async () => {
  const shared = new Shared();
  const { service, dir, lines } = serviceOf(shared);
  await using held = service;
  await held.start();
  expect(filesIn(dir)).toEqual(shared.files);
  using passes = record<SyncReport>(service as never, 'synced');
  write(dir, { 'below/mine.json': '1\n' });
  expect(await passes.until(({ pushed }) => pushed)).toMatchObject({ committed: ['below/mine.json'] });
  expect(shared.files).toMatchObject({ 'below/mine.json': '1\n' });
  shared.push({ 'a.json': 'theirs\n' });
  expect(service.syncNow()).toBe(true);
  expect(await passes.until(({ received }) => received)).toMatchObject({ problem: undefined });
  expect(filesIn(dir)).toEqual(shared.files);
  await service.stop();
  expect(service.syncNow()).toBe(false);
  expect(lines.filter((line) => line.startsWith('warn'))).toEqual([]);
});

test('without an edit it looks in intervals', async () => {
  const shared = new Shared();
  const { service, dir } = serviceOf(shared, { intervalMs: 100, watch: false });
  await using held = service;
  await held.start();
  using passes = record<SyncReport>(service as never, 'synced');
  shared.push({ 'a.json': 'theirs\n' });
  await passes.until(({ received }) => received);
  write(dir, { 'mine.json': '1\n' });
  await passes.until(({ pushed }) => pushed);
  expect(filesIn(dir)).toEqual(shared.files);
});

test('a missing credential degrades it, is warned of once, and heals by itself', async () => {
  const shared = new Shared();
  const { service, dir, lines } = serviceOf(shared);
  await service.start();
  await service.stop();
  write(dir, { 'a.json': 'mine\n' });
  const refused = serviceOf(shared, { url: await serverWith(401), intervalMs: 100, watch: false });
  await refused.service.start();
  using passes = record<SyncReport>(refused.service as never, 'synced');
  expect(refused.service.status).toMatchObject({ state: 'running', health: 'degraded' });
  expect(refused.service.status.reason?.message).toMatch(/refuses us|could not be read/);
  await passes.until(() => true);
  await refused.service.stop();
  expect(refused.lines.filter((line) => line.startsWith('warn'))).toHaveLength(1);
  await service.start();
  expect(service.status).toMatchObject({ state: 'running', health: 'ready' });
  expect(shared.files).toEqual({ 'a.json': 'mine\n' });
  await service.stop();
  expect(lines.some((line) => line.startsWith('warn'))).toBe(false);
});

test('a conflict is a warning that names both files; what is wrong here degrades it until it is not', async () => {
  const shared = new Shared();
  const { service, dir, lines } = serviceOf(shared, { watch: false });
  await using held = service;
  await held.start();
  using passes = record<SyncReport>(service as never, 'synced');
  write(dir, { 'a.json': 'mine\n' });
  shared.push({ 'a.json': 'theirs\n' });
  service.syncNow();
  const { conflicts } = await passes.until((report) => report.conflicts.length > 0);
  expect(lines).toContainEqual(
    `warn: workflows: a.json was changed on both sides; this machine's version is in ${conflicts[0]?.copy}`,
  );
  using statuses = record<ServiceStatus>(service as never, 'status');
  write(join(dir, '.git'), { MERGE_HEAD: `${shared.head}\n` });
  service.syncNow();
  const { reason } = await statuses.until(({ health }) => health === 'degraded');
  expect(reason?.message).toMatch(/somebody's merge in .* is not finished/);
  write(join(dir, '.git'), { MERGE_HEAD: undefined });
  service.syncNow();
  await statuses.until(({ health }) => health === 'ready');
});

test('doctor asks the repository', async () => {
  const shared = new Shared();
  using context = testContext({ kind: 'workflows', env });
  const ask = (url: string) => workflows.doctor?.(workflows.schema.parse({ url }), context);
  expect(await ask(shared.url)).toMatchObject([{ level: 'ok' }]);
  expect(await ask(`${shared.url}-not`)).toMatchObject([{ level: 'warning' }]);
  expect(await ask('ext::id')).toMatchObject([{ level: 'warning', message: expect.stringContaining('transport') }]);
});
