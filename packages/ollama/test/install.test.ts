import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { createServer, type RequestListener } from 'node:http';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { zstdCompressSync } from 'node:zlib';
import { loggerTo, silentLogger } from '@mgpu/core';
import { leasePorts, temporaryFolder, testContext } from '@mgpu/core/testing';
import { create } from 'tar';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ollamaSchema } from '../src/config.ts';
import { ollama } from '../src/ollama.ts';
import { installRelease, releaseOf } from '../src/program/install-release.ts';
import { locateProgram, releaseProgram } from '../src/program/locate-program.ts';
import { architectures, checksums, pinned } from '../src/program/releases.ts';
import { simulator } from './support.ts';

const version = '1.2.3';
const arch = architectures[process.arch as 'x64'];
const path = `/v${version}/ollama-linux-${arch}.tar.zst`;
let archive: Buffer;
let digest: string;

beforeAll(async () => {
  using folder = temporaryFolder();
  await mkdir(join(folder.path, 'bin'));
  await mkdir(join(folder.path, 'lib/ollama'), { recursive: true });
  const program = `#!/bin/sh\nexec ${simulator.join(' ')} "$@"\n`;
  await writeFile(join(folder.path, 'bin/ollama'), program, { mode: 0o755 });
  // Nothing that compresses, so that there is a middle to be interrupted in.
  const noise = Array.from({ length: 20_000 }, (_, at) => createHash('sha256').update(String(at)).digest());
  await writeFile(join(folder.path, 'lib/ollama/libnoise.so'), Buffer.concat(noise));
  archive = zstdCompressSync(await buffer(create({ cwd: folder.path }, ['bin', 'lib'])));
  digest = sha256(archive);
});

const sha256 = (content: Uint8Array) => createHash('sha256').update(content).digest('hex');

const ports = await leasePorts(4);
afterAll(() => ports[Symbol.dispose]());
let next = 0;

/** A server of releases, and a machine that may download from it. */
async function open(answer: RequestListener, more: object = {}) {
  const port = ports.first + (next++ % 4);
  const ranges: (string | undefined)[] = [];
  const server = createServer((request, response) => {
    ranges.push(request.headers.range);
    answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  const context = testContext({ kind: 'ollama', env: { PATH: '' } });
  const download = {
    enabled: true,
    version,
    url: `http://127.0.0.1:${port}`,
    sha256: { [process.arch]: digest },
    ...more,
  };
  const config = ollamaSchema.parse({ download });
  const install = (signal = new AbortController().signal, log = silentLogger) =>
    installRelease(config.download, { ...context, log, signal });
  return {
    context,
    config,
    ranges,
    install,
    dir: join(context.layout.engines, 'ollama'),
    port,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      context[Symbol.dispose]();
    },
  };
}

/** Serves the archive, from where it is asked for. */
const whole: RequestListener = ({ headers: { range } }, response) => {
  const from = Number(/^bytes=(\d+)-$/.exec(range ?? '')?.[1] ?? 0);
  const part = archive.subarray(from);
  const length = { 'content-length': part.length };
  if (range === undefined) response.writeHead(200, length).end(part);
  else
    response
      .writeHead(206, { ...length, 'content-range': `bytes ${from}-${archive.length - 1}/${archive.length}` })
      .end(part);
};

/** Ends the first answer after so many bytes. */
function cutOnce(bytes: number): RequestListener {
  let isFirst = true;
  return (request, response) => {
    if (!isFirst) return whole(request, response);
    isFirst = false;
    response.writeHead(200, { 'content-length': archive.length });
    response.write(archive.subarray(0, bytes), () => response.destroy());
  };
}

test('a release is downloaded, checked and unpacked, and then it is there', async () => {
  await using site = await open((request, response) => {
    expect(request.url).toBe(path);
    whole(request, response);
  });
  const program = await site.install();
  expect(program).toBe(releaseProgram(site.context.layout, version));
  expect((await stat(program)).mode & 0o111).toBe(0o111);
  expect((await stat(join(site.dir, version, 'lib/ollama/libnoise.so'))).size).toBe(640_000);
  expect(await readdir(site.dir)).toEqual([version]);
  await site.install();
  expect(site.ranges).toHaveLength(1);
  expect(await locateProgram(site.config, site.context)).toEqual({ file: program, args: [] });
});

test('the machine installs it only when it may, and runs it', async () => {
  await using site = await open(whole);
  const signal = new AbortController().signal;
  const forbidden = ollamaSchema.parse({ download: { ...site.config.download, enabled: false } });
  await expect(ollama.install?.({ ...site.context, signal }, forbidden)).rejects.toMatchObject({
    code: 'OLLAMA_MISSING',
    hint: expect.stringContaining('download.enabled: true'),
  });
  expect(site.ranges).toEqual([]);
  const listen = { port: ports.first + 3 };
  const config = ollamaSchema.parse({ download: site.config.download, listen });
  await ollama.install?.({ ...site.context, signal }, config);
  await using service = ollama.create(config, site.context);
  await service.start();
  expect(service.status).toMatchObject({ state: 'running', health: 'ready' });
});

test('a connection that breaks is gone on with, in the same start', async () => {
  await using site = await open(cutOnce(200_000));
  await site.install();
  expect(site.ranges[0]).toBeUndefined();
  expect(site.ranges[1]).toMatch(/^bytes=[1-9]\d*-$/);
});

test('an interrupted download is gone on with by the next start', async () => {
  const controller = new AbortController();
  const reason = new Error('stopped');
  let isFirst = true;
  await using site = await open((request, response) => {
    if (!isFirst) return whole(request, response);
    isFirst = false;
    response.writeHead(200, { 'content-length': archive.length });
    response.write(archive.subarray(0, 300_000));
  });
  const installing = site.install(controller.signal);
  const part = join(site.dir, `${version}.tar.zst.part`);
  await expect
    .poll(() =>
      stat(part).then(
        ({ size }) => size,
        () => 0,
      ),
    )
    .toBe(300_000);
  controller.abort(reason);
  await expect(installing).rejects.toBe(reason);
  expect(existsSync(join(site.dir, version))).toBe(false);
  await site.install();
  expect(site.ranges).toEqual([undefined, 'bytes=300000-']);
});

test('a part that was whole already is not asked for again in vain', async () => {
  await using site = await open(({ headers }, response) => {
    expect(headers.range).toBe(`bytes=${archive.length}-`);
    response.writeHead(416, { 'content-range': `bytes */${archive.length}` }).end();
  });
  await mkdir(site.dir, { recursive: true });
  await writeFile(join(site.dir, `${version}.tar.zst.part`), archive);
  await site.install();
  expect(await readdir(site.dir)).toEqual([version]);
});

test('a server that knows no ranges sends everything again', async () => {
  await using site = await open((_, response) => void response.writeHead(200).end(archive));
  await mkdir(site.dir, { recursive: true });
  await writeFile(join(site.dir, `${version}.tar.zst.part`), 'the beginning of something else');
  await site.install();
  expect(existsSync(join(site.dir, version, 'bin/ollama'))).toBe(true);
});

test('what is not what it should be is removed, and nothing is installed', async () => {
  await using site = await open(whole, { sha256: { [process.arch]: 'f'.repeat(64) } });
  await expect(site.install()).rejects.toMatchObject({
    code: 'OLLAMA_CHECKSUM',
    details: { expected: 'f'.repeat(64), actual: digest },
  });
  expect(await readdir(site.dir)).toEqual([]);
});

test('a server that lies about the length is seen through', async () => {
  await using site = await open((_, response) => {
    response.writeHead(200, { 'content-length': archive.length + 10 });
    response.write(archive, () => response.destroy());
  });
  await expect(site.install()).rejects.toMatchObject({ code: 'OLLAMA_DOWNLOAD_FAILED', retryable: true });
  expect(existsSync(join(site.dir, version))).toBe(false);
});

test('a refusal is told at once', async () => {
  await using site = await open((_, response) => void response.writeHead(404).end());
  const message = expect.stringContaining('status 404');
  await expect(site.install()).rejects.toMatchObject({ code: 'OLLAMA_DOWNLOAD_FAILED', message });
  expect(site.ranges).toHaveLength(1);
});

test('it follows where a release really lies', async () => {
  await using site = await open((request, response) => {
    if (request.url === path) response.writeHead(302, { location: '/elsewhere' }).end();
    else whole(request, response);
  });
  await site.install();
  expect(site.ranges).toHaveLength(2);
});

test('an archive that has no Ollama in it is not installed', async () => {
  using folder = temporaryFolder();
  await writeFile(join(folder.path, 'readme'), '');
  const other = zstdCompressSync(await buffer(create({ cwd: folder.path }, ['readme'])));
  const answer: RequestListener = (_, response) => void response.writeHead(200).end(other);
  await using site = await open(answer, { sha256: { [process.arch]: sha256(other) } });
  await expect(site.install()).rejects.toMatchObject({ code: 'OLLAMA_UNPACK_FAILED' });
  expect(await readdir(site.dir)).toEqual([`${version}.tar.zst.part`]);
});

test('two that install at once do not get in each other’s way', async () => {
  await using site = await open(whole);
  const outcomes = await Promise.allSettled([site.install(), site.install()]);
  expect(outcomes.filter(({ status }) => status === 'fulfilled').length).toBeGreaterThan(0);
  for (const each of outcomes)
    if (each.status === 'rejected') expect(each.reason).toMatchObject({ code: 'CORE_FOLDER_BUSY' });
  expect(await readdir(site.dir)).toEqual([version]);
});

test('the log says from where, and that it is there', async () => {
  const lines: string[] = [];
  await using site = await open(whole);
  await site.install(
    new AbortController().signal,
    loggerTo((_, message) => void lines.push(message)),
  );
  expect(lines).toEqual([
    `Ollama ${version} is downloaded from http://127.0.0.1:${site.port}${path}`,
    `Ollama ${version} is installed`,
  ]);
});

test('a checksum is known of the pinned version for each architecture, and of others none is made up', async () => {
  for (const each of Object.keys(architectures))
    expect(checksums[pinned]).toHaveProperty(each, expect.stringMatching(/^[0-9a-f]{64}$/));
  const { download } = ollamaSchema.parse({});
  expect(releaseOf(download, 'arm64')).toEqual({
    url: `https://github.com/ollama/ollama/releases/download/v${pinned}/ollama-linux-arm64.tar.zst`,
    sha256: checksums[pinned]?.arm64,
  });
  const unknown = { code: 'OLLAMA_NO_CHECKSUM' };
  expect(() => releaseOf({ ...download, version: '9.9.9' }, 'x64')).toThrow(expect.objectContaining(unknown));
  expect(() => releaseOf(download, 'riscv64')).toThrow(expect.objectContaining(unknown));
  expect(await readFile(new URL('../README.md', import.meta.url), 'utf8')).toContain(pinned);
});
