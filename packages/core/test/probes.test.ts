import { appendFileSync, truncateSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer, type RequestListener } from 'node:http';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import {
  httpProbe,
  logLineProbe,
  MgpuError,
  type Probe,
  type ProbeContext,
  probeFail,
  probeOk,
  tcpProbe,
} from '@mgpu/core';
import { leasePorts } from '@mgpu/core/testing';
import { describe, expect, onTestFinished, test } from 'vitest';
import { temporaryFolder } from './support.ts';

const ask = (probe: Probe, log?: ProbeContext['log'], signal = new AbortController().signal) =>
  probe.attempt({ signal, log });

async function listening<S extends Server>(server: S, where: number | string = 0): Promise<S> {
  await new Promise<void>((resolve) =>
    typeof where === 'string' ? server.listen(where, resolve) : server.listen(where, '127.0.0.1', resolve),
  );
  onTestFinished(() => void server.close());
  return server;
}

async function web(listener: RequestListener): Promise<URL> {
  const server = createHttpServer(listener);
  await listening(server);
  onTestFinished(() => server.closeAllConnections());
  return new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/health`);
}

describe('an HTTP probe', () => {
  test('says what it asks', () => {
    expect(httpProbe(new URL('http://127.0.0.1:1/x')).description).toBe('GET http://127.0.0.1:1/x');
  });

  test.each([200, 204, 301, 399])('takes status %i for a yes', async (status) => {
    const url = await web((_, response) => response.writeHead(status).end());
    expect(await ask(httpProbe(url))).toEqual(probeOk);
  });

  test.each([400, 404, 503])('takes status %i for a no', async (status) => {
    const url = await web((_, response) => response.writeHead(status).end());
    expect(await ask(httpProbe(url))).toEqual(probeFail(`status ${status}`));
  });

  test('follows no redirect', async () => {
    const asked: (string | undefined)[] = [];
    const url = await web((request, response) => {
      asked.push(request.url);
      response.writeHead(302, { location: '/elsewhere' }).end();
    });
    await ask(httpProbe(url));
    expect(asked).toEqual(['/health']);
  });

  test('judges by an expectation of its own', async () => {
    const url = await web((_, response) => response.end('loading 40%'));
    const probe = httpProbe(url, { expect: ({ body }) => body === 'done' || `it says ${body}` });
    expect(await ask(probe)).toEqual(probeFail('it says loading 40%'));
  });

  test('can end the wait for good', async () => {
    const url = await web((_, response) => response.end('somebody else'));
    const error = new MgpuError('another program', { code: 'TEST_OTHER' });
    expect(await ask(httpProbe(url, { expect: () => error }))).toEqual({ outcome: 'fatal', error });
  });

  test('says that nobody listens', async () => {
    using ports = await leasePorts(1);
    const url = new URL(`http://127.0.0.1:${ports.first}/`);
    expect(await ask(httpProbe(url))).toEqual(probeFail('connection refused'));
  });

  test('says that the connection was closed without an answer', async () => {
    const server = await listening(createServer((socket) => void socket.destroy()));
    const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    expect(await ask(httpProbe(url))).toMatchObject({ outcome: 'fail' });
  });

  test.each<[string, RequestListener]>([
    ['an answer that never begins', () => {}],
    ['a body that drips', (_, response) => void response.write('a')],
  ])('does not hang on %s', async (_, listener) => {
    const asked = Promise.withResolvers<void>();
    const url = await web((request, response) => {
      listener(request, response);
      asked.resolve();
    });
    const controller = new AbortController();
    const answer = ask(httpProbe(url), undefined, controller.signal);
    await asked.promise;
    controller.abort();
    expect(await answer).not.toEqual(probeOk);
  });

  test('reads at most 4 MB of a body without end', async () => {
    const url = await web((_, response) => {
      const more = () => {
        while (response.write('x'.repeat(100_000)));
      };
      response.on('drain', more);
      more();
    });
    const sizes: number[] = [];
    await ask(
      httpProbe(url, {
        expect: ({ body }) => {
          sizes.push(body.length);
          return true;
        },
      }),
    );
    expect(sizes[0]).toBeLessThanOrEqual(4_000_000);
  });

  test('asks through a Unix socket', async () => {
    const socketPath = join(temporaryFolder(), 's');
    const server = createHttpServer((request, response) => response.end(`${request.headers.host} ${request.url}`));
    await listening(server, socketPath);
    const url = new URL('http://localhost/health');
    const probe = httpProbe(url, { socketPath, expect: ({ body }) => body === 'localhost /health' || body });
    expect(await ask(probe)).toEqual(probeOk);
    expect(await ask(httpProbe(url, { socketPath: `${socketPath}-gone` }))).toMatchObject({
      outcome: 'fail',
      reason: expect.stringContaining('ENOENT'),
    });
  });
});

describe('a TCP probe', () => {
  test('is content with an accepted connection', async () => {
    const server = await listening(createServer((socket) => socket.resume()));
    const { port } = server.address() as AddressInfo;
    const probe = tcpProbe({ port });
    expect(probe.description).toBe(`connect to 127.0.0.1:${port}`);
    expect(await ask(probe)).toEqual(probeOk);
  });

  test('says why there was none', async () => {
    using ports = await leasePorts(1);
    expect(await ask(tcpProbe({ port: ports.first }))).toEqual(probeFail('ECONNREFUSED'));
    expect(await ask(tcpProbe({ path: '/nowhere' }))).toEqual(probeFail('ENOENT'));
  });

  test('connects to a Unix socket', async () => {
    const path = join(temporaryFolder(), 's');
    await listening(createServer(), path);
    expect(await ask(tcpProbe({ path }))).toEqual(probeOk);
  });

  test('gives up with its signal', async () => {
    expect(await ask(tcpProbe({ port: 1 }), undefined, AbortSignal.abort())).not.toEqual(probeOk);
  });
});

describe('a log line probe', () => {
  const notYet = probeFail('no such line yet');

  function log(text: string | Buffer = '') {
    const file = join(temporaryFolder(), 'output.log');
    writeFileSync(file, text);
    return { file, from: 0, append: (more: string | Buffer) => appendFileSync(file, more) };
  }

  test('waits for the line to be whole', async () => {
    const probe = logLineProbe(/listening on \d+/);
    const it = log('starting\nliste');
    expect(await ask(probe, it)).toEqual(notYet);
    it.append('ning on 81');
    expect(await ask(probe, it)).toEqual(notYet);
    it.append('88\n');
    expect(await ask(probe, it)).toEqual(probeOk);
  });

  test('reads letters whose bytes are written apart', async () => {
    const probe = logLineProbe(/^größe$/);
    const bytes = Buffer.from('größe\n');
    const it = log(bytes.subarray(0, 3));
    expect(await ask(probe, it)).toEqual(notYet);
    it.append(bytes.subarray(3));
    expect(await ask(probe, it)).toEqual(probeOk);
  });

  test('does not see colours', async () => {
    expect(await ask(logLineProbe(/^ready to go$/), log('\u001b[32mready\u001b[0m to go\n'))).toEqual(probeOk);
  });

  test('does not look before the beginning of the run', async () => {
    const it = log('ready\n');
    expect(await ask(logLineProbe(/ready/), { ...it, from: 6 })).toEqual(probeFail('no output yet'));
    it.append('ready\n');
    expect(await ask(logLineProbe(/ready/), { ...it, from: 6 })).toEqual(probeOk);
  });

  test('begins anew with a new run', async () => {
    const probe = logLineProbe(/ready/);
    const it = log('ready\n');
    expect(await ask(probe, it)).toEqual(probeOk);
    expect(await ask(probe, { ...it, from: 6 })).toEqual(probeFail('no output yet'));
  });

  test('stays at yes for the run', async () => {
    const probe = logLineProbe(/ready/g);
    const it = log('ready\n');
    expect(await ask(probe, it)).toEqual(probeOk);
    it.append('later\n');
    expect(await ask(probe, it)).toEqual(probeOk);
  });

  test('gives the same answer to two who ask at once', async () => {
    const probe = logLineProbe(/ready/);
    const it = log(`${'x\n'.repeat(500_000)}ready\n`);
    expect(await Promise.all([ask(probe, it), ask(probe, it)])).toEqual([probeOk, probeOk]);
  });

  test('finds a line behind one of many megabytes', async () => {
    const probe = logLineProbe(/^ready$/);
    const it = log(Buffer.alloc(20_000_000, 'x'));
    expect(await ask(probe, it)).toEqual(notYet);
    it.append('\nready\n');
    expect(await ask(probe, it)).toEqual(probeOk);
  });

  test('finds nothing in a file that was cut, and does not fail', async () => {
    const probe = logLineProbe(/ready/);
    const it = log('starting\n');
    expect(await ask(probe, it)).toEqual(notYet);
    truncateSync(it.file);
    expect(await ask(probe, it)).toEqual(notYet);
  });

  test('says that there is nothing yet, or nothing at all', async () => {
    const probe = logLineProbe(/ready/);
    expect(probe.description).toBe('a line of its log matching /ready/');
    expect(await ask(probe, { file: join(temporaryFolder(), 'none'), from: 0 })).toEqual(probeFail('no output yet'));
    expect(await ask(probe)).toEqual({ outcome: 'unknown', reason: 'the service has no log' });
  });
});
