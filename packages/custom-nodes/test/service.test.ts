import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadConfig, loggerTo } from '@mgpu/core';
import { serviceConformance, testContext } from '@mgpu/core/testing';
import { expect, test } from 'vitest';
import { type CustomNodesService, checkoutSite, customNodes, type NodeSite } from '../src/index.ts';
import { env, Repository, temporaryFolder } from './support.ts';

const definition = customNodes({ site: ({ layout }) => checkoutSite(join(layout.root, 'engine'), { env }) });

serviceConformance({
  definition,
  config: {},
  context: () => {
    const repository = new Repository(join(temporaryFolder(), 'one'));
    return contextWith([{ name: 'one', url: repository.url }]);
  },
  test,
});

function contextWith(entries: readonly object[] | undefined, lines: string[] = []) {
  const log = loggerTo((level, message) => void lines.push(`${level}: ${message}`));
  const context = testContext({ kind: 'custom-nodes', env, log });
  mkdirSync(join(context.layout.root, 'engine'));
  mkdirSync(context.layout.shared);
  if (entries)
    writeFileSync(join(context.layout.shared, 'config_nodes.json'), JSON.stringify({ custom_nodes: entries }));
  return context;
}

const config = definition.schema.parse({});

test.each([
  ['a list', undefined, definition],
  ['an engine', [{ name: 'one', url: '/nowhere' }], customNodes({ site: () => undefined })],
])('without %s it is completed at once', async (_, entries, definition) => {
  using context = contextWith(entries);
  const service = definition.create(config, context) as CustomNodesService;
  await service.start();
  expect(service.status.state).toBe('completed');
  expect(service.report).toBeUndefined();
});

test('nodes that fail are told and are no failure; a site that is as it should be is not changed', async () => {
  const lines: string[] = [];
  const one = new Repository(join(temporaryFolder(), 'one'));
  using context = contextWith(
    [
      { name: 'one', url: one.url },
      { name: 'two', url: '/nowhere' },
      { name: '..', url: '/x' },
    ],
    lines,
  );
  let changes = 0;
  const plain = checkoutSite(join(context.layout.root, 'engine'), { env });
  const site: NodeSite = {
    current: plain.current,
    change: (work) => {
      changes += 1;
      return plain.change(work);
    },
  };
  const service = customNodes({ site: () => site }).create(config, context) as CustomNodesService;
  await service.start();
  expect(service.status.state).toBe('completed');
  expect(service.report).toMatchObject({ outcome: 'partly failed', summary: '3 nodes: 1 done, 2 failed' });
  expect(lines).toContainEqual(expect.stringMatching(/^warn: custom nodes: 3 nodes: .*\(two, \.\.\)$/));
  one.commit({ 'more.py': '' }); // at the start what is there stays as it is
  await service.start();
  expect(service.report).toMatchObject({ outcome: 'partly failed', summary: '3 nodes: 1 as they should be, 2 failed' });
  expect(changes).toBe(1);
});

test('in test mode the list is another one, as with the predecessor', async () => {
  using context = contextWith([{ name: 'one', url: '/nowhere' }]);
  const list = [{ name: 'two', url: new Repository(join(temporaryFolder(), 'two')).url }];
  writeFileSync(join(context.layout.shared, 'config_nodes_test.json'), JSON.stringify({ custom_nodes: list }));
  const env = { STORAGE_TEST_MODE: 'true' };
  const { services } = (await loadConfig({ definitions: [definition], cwd: context.layout.root, env })).config;
  const service = definition.create(services['custom-nodes'] as never, context) as CustomNodesService;
  await service.start();
  expect(service.report?.nodes).toMatchObject([{ name: 'two', status: 'done' }]);
});

test('what a node asks for by name it gets, though nobody else sees it', async () => {
  const one = new Repository(join(temporaryFolder(), 'one'));
  using context = contextWith([{ name: 'one', url: one.url, env: { TOKEN: '${HF_TOKEN}' } }]);
  const site = checkoutSite(join(context.layout.root, 'engine'), { env });
  const host = { site: () => site, variables: { HF_TOKEN: 'hf_secret' } };
  await customNodes(host).create(config, context).start();
  const { packs } = await site.current();
  expect(readFileSync(join(packs, 'one', '.env'), 'utf8')).toBe('TOKEN=hf_secret\n');
});

test('a list that is none fails the service, and doctor says so', async () => {
  using context = contextWith(undefined);
  writeFileSync(join(context.layout.shared, 'config_nodes.json'), '{"custom_nodes": 3}');
  await expect(definition.create(config, context).start()).rejects.toMatchObject({ code: 'NODES_LIST_INVALID' });
  expect(await definition.doctor?.(config, context)).toMatchObject([
    { level: 'error', message: expect.stringContaining('a number') },
  ]);
});
