import { symlinkSync, utimesSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { fakeClock } from '@mgpu/core/testing';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import type { ModelsInput } from '../src/index.ts';
import {
  bytes,
  isThere,
  listing,
  names,
  openStore,
  outcomes,
  read,
  sendFile,
  serve,
  sha256,
  temporaryFolder,
  write,
} from './support.ts';

const content = bytes(10_000);
const files = () => serve((request, response) => sendFile(request, response, content));

/** A bucket of Google's, which may be read by everybody. */
const bucketOf = (objects: Record<string, Buffer>) =>
  serve((request, response) => {
    const { pathname } = new URL(request.url ?? '', 'http://any');
    const [, key] = /\/o\/(.+)$/.exec(pathname) ?? [];
    if (key !== undefined) return sendFile(request, response, objects[decodeURIComponent(key)] ?? Buffer.alloc(0));
    response.end(
      JSON.stringify({ items: Object.entries(objects).map(([name, { length }]) => ({ name, size: `${length}` })) }),
    );
  });

const withBucket = (
  server: { url: string },
  sync: NonNullable<ModelsInput['sync']> = {},
  more: ModelsInput = {},
): ModelsInput => ({
  sync: { provider: 'google', container: 'shared', testContainer: 'shared-test', ...sync },
  accounts: { google: { endpoint: server.url } },
  ...more,
});

const listings = (server: { requests: readonly { path: string }[] }) =>
  server.requests.filter(({ path }) => /\/o\?/.test(path)).length;

test('a sync makes folders, brings what the list names, and changes nothing the second time', async () => {
  const server = await files();
  const box = openStore();
  write(
    box.at('models.yaml'),
    `models:
  - {url: "${server.url}/a.safetensors", path: checkpoints/a.safetensors, aliases: [A.safetensors], sha256: ${sha256(content)}}
  - {url: "${server.url}/b.safetensors", path: sd_models/Stable-diffusion/b.safetensors}
  - {url: "${server.url}/c.safetensors", path: ../c.safetensors}
`,
  );
  write(box.at('comfy_dir_config.yaml'), 'comfyui:\n  base_path: /workspace/shared\n  ipadapter: models/ipadapter\n');
  const expected = (status: string) => ({
    'models/checkpoints/a.safetensors': status,
    'sd_models/Stable-diffusion/b.safetensors': status,
    '../c.safetensors': 'failed MODELS_PATH',
  });
  const first = await box.store.sync();
  expect(outcomes(first)).toEqual(expected('pulled'));
  expect(first).toMatchObject({ outcome: 'partly failed', bucket: { skipped: 'no bucket is named' } });
  expect(read(box.at('models/checkpoints/A.safetensors')).equals(content)).toBe(true);
  expect(isThere(box.at('models/ipadapter'))).toBe(true);
  const paths = parse(String(read(box.at('extra_model_paths.yaml')))).mgpu;
  expect(paths).toMatchObject({ base_path: box.layout.shared, ipadapter: 'models/ipadapter/' });
  const before = listing(box.at('models'));
  const second = await box.store.sync();
  expect(outcomes(second)).toEqual(expected('present'));
  expect(second.aliases).toMatchObject([{ status: 'present' }]);
  expect(listing(box.at('models'))).toEqual(before);
  expect(server.requests).toHaveLength(2);
});

test('what the list names otherwise than before is brought anew, what somebody changed is not', async () => {
  const server = await serve((request, response) =>
    sendFile(request, response, request.url === '/new' ? bytes(5) : content),
  );
  const box = openStore();
  await box.pull({ url: `${server.url}/old`, path: 'loras/a.pt' }, { url: `${server.url}/old`, path: 'loras/b.pt' });
  write(box.at('models/loras/b.pt'), 'edited');
  const report = await box.pull(
    { url: `${server.url}/new`, path: 'loras/a.pt', size: 5 },
    { url: `${server.url}/new`, path: 'loras/b.pt', size: 5 },
  );
  expect(outcomes(report)).toEqual({ 'models/loras/a.pt': 'pulled', 'models/loras/b.pt': 'failed MODELS_TAKEN' });
  expect(read(box.at('models/loras/a.pt'))).toHaveLength(5);
  expect(String(read(box.at('models/loras/b.pt')))).toBe('edited');
});

test('the bucket is looked at when the marker is old enough, another bucket is meant, or by force', async () => {
  const objects: Record<string, Buffer> = { 'models/loras/a.pt': content };
  const server = await bucketOf(objects);
  const clock = fakeClock();
  const root = temporaryFolder();
  const box = openStore(withBucket(server), { clock }, root);
  write(box.at('.models_synced'), `TIMESTAMP=${clock.now() / 1_000}\nPROVIDER=none\n`); // a predecessor's, of no bucket
  expect((await box.store.sync()).summary).toBe('1 model: 1 pulled');
  expect(String(read(box.at('.models_synced')))).toBe(
    `TIMESTAMP=${clock.now() / 1_000}\nPROVIDER=google\nBUCKET=gs://shared\n`,
  );
  objects['models/loras/b.pt'] = content;
  expect((await box.store.sync()).bucket.skipped).toMatch(/0\.0 days old, and one is due after 7/);
  await clock.advance(8 * 86_400_000);
  expect((await box.store.sync()).summary).toBe('2 models: 1 pulled, 1 there');
  expect(listings(server)).toBe(2);
  await openStore(withBucket(server, { force: true }), { clock }, root).store.sync();
  await openStore(withBucket(server, { maxAgeDays: 0 }), { clock }, root).store.sync();
  await openStore(withBucket(server, {}, { testMode: true }), { clock }, root).store.sync();
  expect(listings(server)).toBe(4);
  expect(server.requests.at(-1)?.path).toContain('/b/shared-test/');
});

test('a sync that is not complete sets no marker; one that only looks changes nothing', async () => {
  const server = await bucketOf({ 'models/loras/a.pt': content, 'models/loras/b.pt': content });
  const box = openStore(withBucket(server));
  write(box.at('models/loras/a.pt'), 'mine');
  const before = listing(box.layout.shared);
  const looked = await box.store.sync({ checkOnly: true });
  expect(outcomes(looked)).toEqual({ 'models/loras/a.pt': 'failed MODELS_TAKEN', 'models/loras/b.pt': 'planned' });
  expect(listing(box.layout.shared)).toEqual(before);
  const done = await box.store.sync();
  expect(outcomes(done)).toEqual({ 'models/loras/a.pt': 'failed MODELS_TAKEN', 'models/loras/b.pt': 'pulled' });
  expect(isThere(box.at('.models_synced'))).toBe(false);
});

test('a bucket that cannot be had is told, and the list is brought all the same', async () => {
  const server = await files();
  const box = openStore({ sync: { container: 'shared', force: true } });
  write(box.at('models.yaml'), `[{url: "${server.url}/a", path: vae/a.pt}]`);
  const report = await box.store.sync();
  expect(report).toMatchObject({ outcome: 'partly failed', bucket: { error: { code: 'MODELS_SYNC_SOURCE' } } });
  expect(outcomes(report)).toEqual({ 'models/vae/a.pt': 'pulled' });
  const none = openStore({ sync: { force: true } });
  expect(await none.store.sync()).toMatchObject({ outcome: 'unchanged', bucket: { skipped: 'no bucket is named' } });
});

test('folders can be chosen and patterns left out; that is no complete sync', async () => {
  const objects = {
    'models/loras/x/a.pt': content,
    'models/loras/b.ckpt': content,
    'vae/c.pt': content,
    'all/loras/d.pt': content,
  };
  const server = await bucketOf(objects);
  const box = openStore(withBucket(server, { dirs: ['loras'], exclude: ['*.ckpt'] }));
  expect(outcomes(await box.store.sync())).toEqual({ 'models/loras/x/a.pt': 'pulled' });
  expect(isThere(box.at('.models_synced'))).toBe(false);
});

test('switches leave out the list, the bucket, and in test mode what is none for tests', async () => {
  const server = await bucketOf({ 'models/loras/a.pt': content });
  const list = (box: { at(path: string): string }) =>
    write(
      box.at('models.yaml'),
      `[{url: "${server.url}/o/x", path: vae/a.pt}, {url: "${server.url}/o/x", path: vae/b.pt, test: true}]`,
    );
  const neither = openStore(withBucket(server, { enabled: false }, { download: false }));
  list(neither);
  const report = await neither.store.sync();
  expect(outcomes(report)).toEqual({ 'models/vae/a.pt': 'skipped', 'models/vae/b.pt': 'skipped' });
  expect(report.bucket.skipped).toBe('it is switched off');
  expect(server.requests).toHaveLength(0);
  const tests = openStore(withBucket(server, {}, { testMode: true }));
  list(tests);
  const tested = await tests.store.sync();
  expect(outcomes(tested)).toMatchObject({ 'models/vae/a.pt': 'skipped', 'models/loras/a.pt': 'pulled' });
});

test('models are listed with what is known of them, and verified byte by byte', async () => {
  const server = await files();
  const box = openStore({ protect: ['keep*'] });
  await box.pull(
    { url: `${server.url}/x`, path: 'loras/a.pt' },
    { url: `${server.url}/x`, path: 'loras/keep.pt' },
    { url: `${server.url}/x`, path: 'loras/c.pt' },
  );
  write(box.at('models/loras/own.pt'), 'mine');
  write(box.at('models.yaml'), `[{url: "${server.url}/x", path: loras/missing.pt}]`);
  write(box.at('static-models.json'), JSON.stringify({ no_index: [{ path: box.at('models/loras/link.pt') }] }));
  symlinkSync(box.at('models/loras/c.pt'), box.at('models/loras/link.pt'));
  const told = (await box.store.models()).map(({ path, state, keptBecause, isIndexed }) => [
    path.slice(13),
    state,
    keptBecause,
    isIndexed,
  ]);
  expect(told).toEqual([
    ['a.pt', 'present', undefined, true],
    ['c.pt', 'present', 'a link leads to it', true],
    ['keep.pt', 'present', 'protected', true],
    ['link.pt', 'link', undefined, false],
    ['missing.pt', 'missing', undefined, true],
    ['own.pt', 'present', 'not brought by mgpu, or changed since', true],
  ]);
  write(box.at('models/loras/keep.pt'), bytes(10_000)); // as long as before
  const verified = await box.store.verify();
  expect(verified.map(({ path, status }) => `${path.slice(13)} ${status}`)).toEqual([
    'a.pt whole',
    'c.pt whole',
    'keep.pt damaged',
    'missing.pt missing',
    'own.pt unknown',
  ]);
  expect(await box.store.verify(['a.pt'])).toHaveLength(1);
  await expect(box.store.verify(['nowhere.pt'])).rejects.toMatchObject({ code: 'MODELS_UNKNOWN' });
});

test('the least recently used go first, and what is kept for a reason stays', async () => {
  const server = await files();
  const box = openStore({ protect: ['*keep.pt'] });
  const all = ['a', 'b', 'c', 'keep', 'listed', 'node'];
  await box.pull(...all.map((name) => ({ url: `${server.url}/x`, path: `loras/${name}.pt` })));
  write(box.at('models/loras/own.pt'), 'mine');
  write(box.at('models.yaml'), `[{url: "${server.url}/x", path: loras/listed.pt}]`);
  const cache = join(box.layout.shared, 'custom_nodes/emprops_comfy_nodes/db/model_cache.db');
  write(cache, '');
  const database = new DatabaseSync(cache);
  database.exec(
    'CREATE TABLE models (filename TEXT, last_used INT, size_bytes INT, use_count INT, is_ignore INT, protected INT)',
  );
  database.exec("INSERT INTO models VALUES ('node.pt', 4000000000, 1, 1, 0, 0), ('a.pt', 1, 1, 1, 0, 0)");
  database.close();
  const now = Date.now() / 1_000;
  // Access times in the future are beyond what a real read sets: b is older than a, whatever was read meanwhile.
  for (const [name, used] of [
    ['b', now + 100],
    ['a', now + 200],
    ['c', now + 300],
  ] as const) {
    const path = box.at(`models/loras/${name}.pt`);
    const { mtimeMs } = (await import('node:fs')).statSync(path);
    utimesSync(path, used, mtimeMs / 1_000);
  }
  const left = () => names(box.at('models/loras'));
  const plan = await box.store.planEviction({ freeBytes: 15_000 });
  expect(plan.models.map(({ path }) => path)).toEqual(['models/loras/b.pt', 'models/loras/a.pt']);
  expect(left()).toHaveLength(7);
  expect(await box.store.evict({ freeBytes: 15_000 })).toMatchObject({ bytes: 20_000, missingBytes: 0 });
  expect(left()).toEqual(['c.pt', 'keep.pt', 'listed.pt', 'node.pt', 'own.pt']);
  expect(await box.store.evict({ toBytes: 0 })).toMatchObject({ bytes: 20_000, missingBytes: 20_004 });
  expect(left()).toEqual(['keep.pt', 'listed.pt', 'own.pt']);
  expect(await box.store.evict({ toBytes: 0, listed: true })).toMatchObject({ bytes: 10_000 });
  expect(left()).toEqual(['keep.pt', 'own.pt']);
});

test('a download that did not end goes first, unless the list names it', async () => {
  const server = await serve((request, response) => {
    sendFile(request, response, content, request.url === '/whole' ? {} : { cutAfter: 5_000 });
  });
  const box = openStore({ attempts: 1 });
  for (const name of ['a', 'b']) write(box.at(`models/loras/.${name}.pt.mgpu-part`), bytes(5_000));
  await box.pull({ url: `${server.url}/whole`, path: 'loras/whole.pt' });
  write(box.at('models.yaml'), `[{url: "${server.url}/b", path: loras/b.pt}]`);
  expect(await box.store.evict({ freeBytes: 1 })).toMatchObject({
    models: [{ path: 'models/loras/a.pt' }],
    bytes: 5_000,
  });
  expect(names(box.at('models/loras'))).toEqual(['.b.pt.mgpu-part', 'whole.pt']);
});

test('two that come to one place are told apart', async () => {
  const server = await serve((request, response) => {
    if (request.url?.startsWith('/api/v1'))
      return response.end(JSON.stringify({ files: [{ name: 'same.pt', primary: true }] }));
    return sendFile(request, response, content);
  });
  const box = openStore({ accounts: { civitai: { endpoint: server.url } } });
  const report = await box.pull({ url: 'civitai://1', path: 'loras/' }, { url: 'civitai://2', path: 'loras/' });
  expect(report.models.map(({ status, error }) => error?.code ?? status).toSorted()).toEqual([
    'MODELS_TAKEN',
    'pulled',
  ]);
});

test('a limit on the cache is kept to after a sync', async () => {
  const server = await files();
  const box = openStore({ cacheGiB: 0.00001 }); // 10,737 bytes
  await box.pull({ url: `${server.url}/x`, path: 'loras/a.pt' });
  write(box.at('models.yaml'), `[{url: "${server.url}/x", path: loras/b.pt}]`);
  expect((await box.store.sync()).evicted).toEqual(['models/loras/a.pt']);
});

test('space is counted by folder, parts and names of one file included', async () => {
  const server = await files();
  const box = openStore();
  await box.pull({ url: `${server.url}/x`, path: 'loras/deep/a.pt' });
  write(join(dirname(box.at('models/vae/b.pt')), '.b.pt.mgpu-part'), bytes(7));
  const usage = await box.store.usage();
  expect(usage.folders).toEqual([
    { folder: 'models/loras', files: 1, bytes: 10_000, partBytes: 0 },
    { folder: 'models/vae', files: 0, bytes: 0, partBytes: 7 },
  ]);
  expect(usage).toMatchObject({ files: 1, bytes: 10_000, leastUsed: [{ path: 'models/loras/deep/a.pt' }] });
  expect(usage.disk.freeBytes).toBeGreaterThan(0);
});
