import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fakeClock } from '@mgpu/core/testing';
import { expect, onTestFinished, test } from 'vitest';
import { entryOf, type ModelProgress } from '../src/index.ts';
import {
  bytes,
  isThere,
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

const path = 'models/checkpoints/one.safetensors';
const entry = (server: { url: string }, more: object = {}) => ({ url: `${server.url}/one.safetensors`, path, ...more });

/** Nothing of it is under its final name. */
function expectNothing(box: { at(path: string): string }, ...left: string[]) {
  expect(isThere(box.at(path))).toBe(false);
  expect(names(dirname(box.at(path)))).toEqual(left);
}

const part = '.one.safetensors.mgpu-part';

test('a file comes whole, with progress, and is there the second time', async () => {
  const content = bytes(3_000_000);
  const server = await serve((request, response) => sendFile(request, response, content));
  const box = openStore();
  const progress: ModelProgress[] = [];
  await box.store.pullListed(); // no list is nothing to pull
  const { entryOf } = await import('../src/index.ts');
  const entries = [entryOf(entry(server, { size: content.length, sha256: sha256(content).toUpperCase() }))];
  const first = await box.store.pull(entries, { onProgress: (each) => progress.push(each) });
  expect(first).toMatchObject({ outcome: 'done', summary: '1 model: 1 pulled' });
  expect(read(box.at(path)).equals(content)).toBe(true);
  expect(statSync(box.at(path)).mode & 0o777).toBe(0o644);
  expect(names(dirname(box.at(path)))).toEqual(['one.safetensors']);
  expect(progress.at(0)).toMatchObject({ path, state: 'running', received: 0, total: content.length });
  expect(progress.at(-1)).toMatchObject({ state: 'done', received: content.length });
  expect(await box.store.pull(entries)).toMatchObject({ outcome: 'unchanged', summary: '1 model: 1 there' });
  expect(server.requests).toHaveLength(1);
});

test('progress tells the rate and how long it will take', async () => {
  const content = bytes(400_000);
  const { promise: goOn, resolve } = Promise.withResolvers<void>();
  const server = await serve(async (_, response) => {
    response.writeHead(200, { 'content-length': content.length });
    response.write(content.subarray(0, 200_000));
    await goOn;
    response.end(content.subarray(200_000));
  });
  const clock = fakeClock();
  const box = openStore({}, { clock });
  const told: ModelProgress[] = [];
  const { entryOf } = await import('../src/index.ts');
  const pull = box.store.pull([entryOf(entry(server))], { onProgress: (each) => told.push(each) });
  await expect.poll(() => server.requests.length).toBe(1);
  await expect
    .poll(() => isThere(join(dirname(box.at(path)), part)) && read(join(dirname(box.at(path)), part)).length)
    .toBe(200_000);
  await clock.advance(2_000);
  resolve();
  await pull;
  const last = told.findLast(({ state, bytesPerSecond }) => state === 'running' && bytesPerSecond !== undefined);
  expect(last?.bytesPerSecond).toBeGreaterThan(50_000);
  expect(last?.remainingMs).toBeDefined();
});

test('killed half-way by SIGKILL, the next one goes on where it was', async () => {
  const content = bytes(8_000_000);
  const held: (() => void)[] = [];
  const server = await serve((request, response) => {
    if (request.headers.range) return sendFile(request, response, content);
    response.writeHead(200, { 'content-length': content.length, etag: '"one"' });
    response.write(content.subarray(0, 4_000_000));
    held.push(() => response.destroy()); // and then nothing more comes
  });
  const root = temporaryFolder();
  const box = openStore({}, {}, root);
  const fixture = join(import.meta.dirname, 'fixtures/pull.ts');
  const child = spawn(process.execPath, [fixture, JSON.stringify({ root, entry: entry(server) })], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  const hidden = join(dirname(box.at(path)), part);
  await expect.poll(() => isThere(hidden) && statSync(hidden).size).toBe(4_000_000);
  child.kill('SIGKILL');
  await once(child, 'exit');
  expectNothing(box, part, `${part}.json`);
  expect(await box.store.models()).toMatchObject([{ path, state: 'part', bytes: 4_000_000 }]);

  expect(outcomes(await box.pull(entry(server)))).toEqual({ [path]: 'pulled' });
  expect(server.requests.at(-1)?.headers).toMatchObject({ range: 'bytes=4000000-', 'if-range': '"one"' });
  expect(read(box.at(path)).equals(content)).toBe(true);
  expect(names(dirname(box.at(path)))).toEqual(['one.safetensors']);
});

test('a broken connection is gone on with; what changed meanwhile is begun anew', async () => {
  const [before, after] = [bytes(3_000_000), bytes(3_000_000)];
  const server = await serve((request, response) => {
    const isFirst = server.requests.length === 1;
    sendFile(request, response, isFirst ? before : after, isFirst ? { cutAfter: 2_000_000 } : { etag: '"two"' });
  });
  const box = openStore();
  expect(outcomes(await box.pull(entry(server)))).toEqual({ [path]: 'pulled' });
  expect(server.requests).toHaveLength(2);
  expect(read(box.at(path)).equals(after)).toBe(true);
});

test('pieces of two states that only the checksum tells apart are brought again in one piece', async () => {
  const [before, after] = [bytes(3_000_000), bytes(3_000_000)];
  const server = await serve((request, response) => {
    const isFirst = server.requests.length === 1;
    sendFile(request, response, isFirst ? before : after, { etag: '', ...(isFirst ? { cutAfter: 2_000_000 } : {}) });
  });
  const box = openStore({ attempts: 3 });
  expect(outcomes(await box.pull(entry(server, { sha256: sha256(after) })))).toEqual({ [path]: 'pulled' });
  expect(read(box.at(path)).equals(after)).toBe(true);
});

test.each([
  ['a checksum that is not met', { sha256: '0'.repeat(64) }, 'MODELS_CHECKSUM', 1],
  ['a size that is not met', { size: 5 }, 'MODELS_SIZE', 1],
])('%s is told, and nothing stays', async (_, more, code, asked) => {
  const content = bytes(1_000_000);
  const server = await serve((request, response) => sendFile(request, response, content));
  const box = openStore();
  const report = await box.pull(entry(server, more));
  expect(outcomes(report)).toEqual({ [path]: `failed ${code}` });
  expect(report.outcome).toBe('failed');
  expect(server.requests).toHaveLength(asked);
  expectNothing(box);
});

test('a server that says more than it gives is asked for the rest, then told', async () => {
  const box = openStore();
  const hidden = join(dirname(box.at(path)), part);
  const server = await serve(async ({ headers: { range } }, response) => {
    const rest = { 'content-range': 'bytes 6000-9999/10000', 'content-length': 4_000 };
    response.writeHead(range ? 206 : 200, { etag: '"one"', ...(range ? rest : { 'content-length': 10_000 }) });
    if (range) response.flushHeaders();
    else response.write(bytes(6_000));
    // What the library has in hand when a connection breaks is lost, and asked for again.
    await expect.poll(() => isThere(hidden) && statSync(hidden).size).toBe(6_000);
    response.destroy();
  });
  const report = await box.pull(entry(server));
  expect(outcomes(report)).toEqual({ [path]: 'failed MODELS_CUT_SHORT' });
  expect(report.models[0]?.error?.message).toContain('after 6000 of 10000 bytes');
  expect(server.requests.map(({ headers }) => headers.range)).toEqual([undefined, 'bytes=6000-']);
  expectNothing(box, part, `${part}.json`);
});

test('a server that gives more than the list says is cut off', async () => {
  const server = await serve((_, response) => {
    response.writeHead(200); // chunked: no length
    response.end(bytes(60_000));
  });
  const box = openStore();
  expect(outcomes(await box.pull(entry(server, { size: 50_000 })))).toEqual({ [path]: 'failed MODELS_SIZE' });
  expectNothing(box);
});

test('a server that answers a question for the rest with some other part is not believed', async () => {
  const content = bytes(2_000_000);
  const server = await serve((request, response) => {
    if (!request.headers.range) return sendFile(request, response, content, { cutAfter: 1_500_000 });
    response.writeHead(206, {
      'content-range': `bytes 0-999/${content.length}`,
      'content-length': 1_000,
      etag: '"one"',
    });
    response.end(content.subarray(0, 1_000));
  });
  const box = openStore();
  expect(outcomes(await box.pull(entry(server)))).toEqual({ [path]: 'failed MODELS_BAD_ANSWER' });
  expectNothing(box, part, `${part}.json`);
});

test('an end that nobody could tell from a broken connection is no end', async () => {
  const server = await serve((request, _response) => {
    request.socket.end('HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nsome of it');
  });
  const box = openStore();
  expect(outcomes(await box.pull(entry(server)))).toEqual({ [path]: 'failed MODELS_BAD_ANSWER' });
  expectNothing(box);
  const content = Buffer.from('some of it');
  expect(outcomes(await box.pull(entry(server, { sha256: sha256(content) })))).toEqual({ [path]: 'pulled' });
});

test.each([
  [404, 'MODELS_NOT_FOUND', 1],
  [403, 'MODELS_REFUSED', 1],
  [400, 'MODELS_BAD_ANSWER', 1],
  [503, 'MODELS_BAD_ANSWER', 2],
])('status %d is %s', async (status, code, asked) => {
  const server = await serve((_, response) => response.writeHead(status).end('no'));
  const box = openStore();
  expect(outcomes(await box.pull(entry(server)))).toEqual({ [path]: `failed ${code}` });
  expect(server.requests).toHaveLength(asked);
  expectNothing(box);
});

const sent = Date.UTC(2026, 0, 1);

test.each([
  ['in seconds', 429, { 'retry-after': '120' }],
  ['as a date', 503, { date: new Date(sent).toUTCString(), 'retry-after': new Date(sent + 120_000).toUTCString() }],
])('a host that is busy is asked again when it wants to be, which it says %s', async (_, status, headers) => {
  const content = bytes(1_000);
  const clock = fakeClock();
  const server = await serve((request, response) => {
    if (server.requests.length > 1) return sendFile(request, response, content);
    response.writeHead(status, headers).end('later');
  });
  const box = openStore({}, { clock });
  const waits: string[] = [];
  const onProgress = ({ state, error }: ModelProgress) =>
    void (state === 'waiting' && waits.push(String(error?.message)));
  const pull = box.store.pull([entryOf(entry(server))], { onProgress });
  await expect.poll(() => waits).toEqual([expect.stringContaining(`left alone for 120 s (status ${status})`)]);
  await clock.advance(119_999);
  expect(server.requests).toHaveLength(1);
  await clock.advance(1);
  expect(outcomes(await pull)).toEqual({ [path]: 'pulled' });
});

test.each([
  ['longer than is waited fails at once', '301', 'MODELS_BUSY', 1],
  ['for no time is asked again as others are', '0', 'MODELS_BUSY', 2],
  ['in words that mean nothing, too', 'soon', 'MODELS_BAD_ANSWER', 2],
])('a host that wants to be left alone %s', async (_, after, code, asked) => {
  const server = await serve((__, response) => response.writeHead(429, { 'retry-after': after }).end('no'));
  const box = openStore();
  expect(outcomes(await box.pull(entry(server)))).toEqual({ [path]: `failed ${code}` });
  expect(server.requests).toHaveLength(asked);
  expectNothing(box);
});

test('a page for people is no model', async () => {
  const server = await serve((_, response) =>
    response.writeHead(200, { 'content-type': 'text/html' }).end('<html>sign in'),
  );
  const box = openStore();
  expect(outcomes(await box.pull(entry(server)))).toEqual({ [path]: 'failed MODELS_BAD_ANSWER' });
  expectNothing(box);
});

test.each([
  ['nothing more', () => {}],
  ['a trickle', (response: { write(text: string): unknown }) => void response.write('x')],
])('a server from which %s comes is given up in the time that is set, and what came stays', async (_, more) => {
  const content = bytes(100_000);
  const clock = fakeClock();
  const server = await serve((_, response) => {
    response.writeHead(200, { 'content-length': content.length, etag: '"one"' });
    response.write(content.subarray(0, 60_000));
    more(response);
  });
  const box = openStore({ attempts: 1, stall: { seconds: 30, bytesPerSecond: 1_000 } }, { clock });
  const pull = box.pull(entry(server));
  const hidden = join(dirname(box.at(path)), part);
  await expect.poll(() => isThere(hidden) && statSync(hidden).size).toBeGreaterThanOrEqual(60_000);
  await clock.advance(30_000);
  await clock.advance(30_000);
  expect(outcomes(await pull)).toEqual({ [path]: 'failed MODELS_STALLED' });
  expectNothing(box, part, `${part}.json`);
});

test('a token is sent to its own host alone, not across redirects, not back again', async () => {
  const content = bytes(50_000);
  const elsewhere = await serve((request, response) => {
    if (request.url === '/back') return response.writeHead(302, { location: `${hub.url}/final` }).end();
    sendFile(request, response, content);
  });
  const hub = await serve((request, response) => {
    if (request.url === '/final') return sendFile(request, response, content);
    const to = request.url?.includes('back') ? `${elsewhere.url}/back` : `${elsewhere.url}/signed?sig=1`;
    const linked = { 'x-linked-size': String(content.length), 'x-linked-etag': `"${sha256(content)}"` };
    response.writeHead(302, { location: to, ...linked }).end();
  });
  const box = openStore({ accounts: { huggingFace: { token: 'hf_secret', endpoint: hub.url } } });
  const report = await box.pull(
    { url: 'hf://some/model/one.safetensors', path },
    { url: `${hub.url}/some/model/resolve/main/back.safetensors`, path: 'loras/back.safetensors' },
  );
  expect(report.outcome).toBe('done');
  const tokens = (server: typeof hub) => server.requests.map(({ path, headers }) => [path, headers.authorization]);
  expect(tokens(hub).toSorted()).toEqual([
    ['/final', undefined],
    ['/some/model/resolve/main/back.safetensors', 'Bearer hf_secret'],
    ['/some/model/resolve/main/one.safetensors', 'Bearer hf_secret'],
  ]);
  expect(elsewhere.requests).toHaveLength(2);
  for (const { headers } of elsewhere.requests) expect(JSON.stringify(headers)).not.toContain('hf_secret');
  expect(JSON.stringify(report)).not.toContain('hf_secret');
});

test("what the hub's own answer says of size and checksum is held against what comes from elsewhere", async () => {
  const content = bytes(50_000);
  const elsewhere = await serve((request, response) => sendFile(request, response, content));
  const hub = await serve((_, response) => {
    response.writeHead(302, { location: elsewhere.url, 'x-linked-etag': `"${'0'.repeat(64)}"` }).end();
  });
  const box = openStore({ accounts: { huggingFace: { endpoint: hub.url } } });
  expect(outcomes(await box.pull({ url: 'hf://some/model/one.safetensors', path }))).toEqual({
    [path]: 'failed MODELS_CHECKSUM',
  });
  expectNothing(box);
});

test('a redirect in a circle, or out of https, is told', async () => {
  const server = await serve((_, response) => response.writeHead(302, { location: '/again' }).end());
  const box = openStore();
  expect(outcomes(await box.pull(entry(server)))).toEqual({ [path]: 'failed MODELS_REDIRECT' });
  expectNothing(box);
});

test('free space is looked at first: what does not fit is not begun', async () => {
  const server = await serve((_, response) => {
    response.writeHead(200, { 'content-length': Number.MAX_SAFE_INTEGER - 1, etag: '"one"' });
    response.write('x');
  });
  const box = openStore();
  const report = await box.pull(entry(server));
  expect(outcomes(report)).toEqual({ [path]: 'failed MODELS_NO_SPACE' });
  expectNothing(box);
});

/** A small file system of memory, where we may mount one. */
function mountTmpfs(size: string): string | undefined {
  const folder = temporaryFolder();
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'mgpu-test', folder], { stdio: 'ignore' });
  } catch {
    return undefined;
  }
  onTestFinished(() => void execFileSync('umount', [folder]));
  return folder;
}

test('a disk that fills up on the way is told, and what came is gone on with when there is room', async ({ skip }) => {
  const root = mountTmpfs('8m');
  if (root === undefined) return skip('mounting a tmpfs is not permitted here');
  const content = bytes(5_000_000);
  const server = await serve((request, response) => {
    if (request.headers.range) return sendFile(request, response, content);
    response.writeHead(200, { etag: '"one"' }); // no length: nobody can look first
    response.end(content);
  });
  const box = openStore({}, {}, root);
  const hog = write(join(root, 'hog'), bytes(5_000_000));
  const full = await box.pull(entry(server));
  expect(outcomes(full)).toEqual({ [path]: 'failed MODELS_DISK_FULL' });
  expectNothing(box, part, `${part}.json`);
  write(hog, '');
  expect(outcomes(await box.pull(entry(server)))).toEqual({ [path]: 'pulled' });
  expect(server.requests.at(-1)?.headers.range).toMatch(/^bytes=\d{6,}-$/);
  expect(read(box.at(path)).equals(content)).toBe(true);
});

test('several at a time, and no more', async () => {
  const content = bytes(10_000);
  let open = 0;
  let most = 0;
  const waiting: (() => void)[] = [];
  const server = await serve((request, response) => {
    most = Math.max(most, ++open);
    response.once('close', () => {
      open -= 1;
    });
    waiting.push(() => sendFile(request, response, content));
    if (waiting.length >= 3) for (const each of waiting.splice(0)) each();
  });
  const box = openStore({ concurrency: 3 });
  const report = await box.pull(
    ...Array.from({ length: 6 }, (_, n) => ({ url: `${server.url}/${n}`, path: `loras/${n}.safetensors` })),
  );
  expect(report.summary).toBe('6 models: 6 pulled');
  expect(most).toBe(3);
});

test('an abort ends it at once, and what came is gone on with', async () => {
  const content = bytes(2_000_000);
  const server = await serve((request, response) => {
    if (request.headers.range) return sendFile(request, response, content);
    response.writeHead(200, { 'content-length': content.length, etag: '"one"' });
    response.write(content.subarray(0, 1_000_000));
  });
  const root = temporaryFolder();
  const abort = new AbortController();
  const box = openStore({}, { signal: abort.signal }, root);
  const pull = box.pull(entry(server));
  const hidden = join(dirname(box.at(path)), part);
  await expect.poll(() => isThere(hidden) && statSync(hidden).size).toBe(1_000_000);
  abort.abort(new Error('enough'));
  await expect(pull).rejects.toThrow('enough');
  const again = openStore({}, {}, root);
  expect(outcomes(await again.pull(entry(server)))).toEqual({ [path]: 'pulled' });
  expect(server.requests.at(-1)?.headers.range).toBe('bytes=1000000-');
});

test('what lies in its place stays until the new one is whole, and is replaced on demand alone', async () => {
  const content = bytes(10_000);
  let isBroken = true;
  const server = await serve((request, response) => {
    sendFile(request, response, content, isBroken ? { cutAfter: 10 } : {});
  });
  const box = openStore({ attempts: 1 });
  write(box.at(path), 'mine');
  expect(outcomes(await box.pull(entry(server)))).toEqual({ [path]: 'present' }); // nobody says that it is another
  expect(outcomes(await box.pull(entry(server, { size: content.length })))).toEqual({ [path]: 'failed MODELS_TAKEN' });
  const { entryOf } = await import('../src/index.ts');
  const force = () => box.store.pull([entryOf(entry(server))], { force: true });
  expect(outcomes(await force())).toEqual({ [path]: 'failed MODELS_CUT_SHORT' });
  expect(String(read(box.at(path)))).toBe('mine');
  isBroken = false;
  expect(outcomes(await force())).toEqual({ [path]: 'pulled' });
  expect(read(box.at(path)).equals(content)).toBe(true);
});

test('a second one at the same time is told so', async () => {
  const { promise: goOn, resolve } = Promise.withResolvers<void>();
  const server = await serve(async (_, response) => {
    await goOn;
    response.end('x');
  });
  const box = openStore();
  const first = box.pull(entry(server));
  await expect.poll(() => server.requests.length).toBe(1);
  await expect(box.pull(entry(server))).rejects.toMatchObject({ code: 'CORE_FOLDER_BUSY' });
  resolve();
  expect(outcomes(await first)).toEqual({ [path]: 'pulled' });
});
