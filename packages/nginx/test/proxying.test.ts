import { lastLines } from '@mgpu/core';
import { leasePorts } from '@mgpu/core/testing';
import { describe, expect, test } from 'vitest';
import { NginxService } from '../src/index.ts';
import { ask, startRig } from './proxy.ts';
import { openWebSocket, startUpstream } from './upstream.ts';

describe('routes', () => {
  test('reach each GPU by port and by path, with the path as the client wrote it', async () => {
    await using rig = await startRig(2);
    const url = '/api/userdata/workflows%2Fa%20b.json?x=%2F&y';
    for (const gpu of [0, 1]) {
      expect((await ask(rig.atGpu(gpu, url))).echo).toMatchObject({ gpu, url });
      expect((await ask(rig.at(`/comfyui/${gpu}${url}`))).echo).toMatchObject({ gpu, url });
    }
    expect((await ask(rig.at(`/comfyui${url}`))).echo).toMatchObject({ url });
  });

  test('pass Host and Origin as the browser sent them: what ComfyUI compares', async () => {
    await using rig = await startRig(1);
    const { origin, host } = rig.at('/');
    const { echo } = await ask(rig.at('/comfyui/prompt'), { method: 'POST', body: '{}', headers: { origin } });
    expect(echo).toMatchObject({ method: 'POST', headers: { host, origin } });
  });

  test('lead from / and /comfyui to the page, from elsewhere nowhere', async () => {
    await using rig = await startRig(1);
    const location = async (path: string) => {
      const { status, headers } = await fetch(rig.at(path), { redirect: 'manual' });
      return [status, headers.get('location')];
    };
    expect(await location('/')).toEqual([302, '/comfyui/']);
    expect(await location('/comfyui?a=b')).toEqual([301, '/comfyui/?a=b']);
    expect(await location('/elsewhere')).toEqual([404, null]);
    expect(await location('/comfyui/%30/')).toEqual([400, null]);
  });

  test('lead to kinds with long names and many GPUs', async () => {
    const kind = `engine-${'very-'.repeat(12)}long`;
    await using rig = await startRig(1);
    const [engine] = rig.upstreams.map(({ endpoint }) => endpoint.url);
    const endpoints = Array.from({ length: 16 }, (_, gpu) => ({
      instance: `${kind}_gpu${gpu}`,
      kind,
      gpu,
      url: engine ?? rig.at('/'),
    }));
    using lease = await leasePorts(1);
    await using long = new NginxService({ port: lease.first, endpoints, upstreams: { [kind]: {} } });
    await long.start();
    const { echo, cookie } = await ask(new URL(`/${kind}/view?a=%2F`, long.endpoint.url));
    expect(echo).toMatchObject({ url: '/view?a=%2F' });
    expect(cookie).toMatch(new RegExp(`^mgpu_${kind.replaceAll('-', '__')}=`));
    expect((await ask(new URL(`/${kind}/15/b%2Fc`, long.endpoint.url))).echo).toMatchObject({ url: '/b%2Fc' });
    expect(await lastLines(long.logFile)).toEqual([]);
  });

  test('say nothing of the version', async () => {
    await using rig = await startRig(1);
    expect((await fetch(rig.at('/'), { redirect: 'manual' })).headers.get('server')).toBe('nginx');
  });
});

describe('the balanced route', () => {
  test('spreads new browsers over the GPUs and keeps each where it is', async () => {
    await using rig = await startRig(2);
    const seen = new Set<number>();
    for (let browser = 0; browser < 4; browser++) {
      const first = await ask(rig.at('/comfyui/'));
      const { gpu } = first.echo;
      expect(first.cookie).toBe(`mgpu_comfyui=${gpu}; Path=/comfyui/; HttpOnly; SameSite=Lax`);
      seen.add(gpu);
      const headers = { cookie: `other=1; mgpu_comfyui=${gpu}` };
      for (let request = 0; request < 10; request++) {
        const next = await ask(rig.at(`/comfyui/view?n=${request}`), { headers });
        expect([next.echo.gpu, next.cookie]).toEqual([gpu, undefined]);
      }
    }
    expect(seen).toEqual(new Set([0, 1]));
  });

  test('carries websockets to the same GPU, both ways, and gives the cookie with the handshake', async () => {
    await using rig = await startRig(2);
    for (const gpu of [0, 1]) {
      const { origin } = rig.at('/');
      using socket = await openWebSocket(rig.at('/comfyui/ws?clientId=c'), { cookie: `mgpu_comfyui=${gpu}`, origin });
      expect(await socket.say('one')).toBe(`${gpu} /ws?clientId=c one`);
      expect(await socket.say('two')).toBe(`${gpu} /ws?clientId=c two`);
      expect(socket.handshake.headers['set-cookie']).toBeUndefined();
    }
    using stranger = await openWebSocket(rig.at('/comfyui/ws'));
    const [gpu] = await stranger.say('hello');
    expect(stranger.handshake.headers['set-cookie']?.[0]).toMatch(new RegExp(`^mgpu_comfyui=${gpu};`));
    using direct = await openWebSocket(rig.atGpu(1, '/ws'));
    expect(await direct.say('direct')).toBe('1 /ws direct');
  });

  test('falls over to another GPU when one is down, and stays there', async () => {
    await using rig = await startRig(2);
    const [down] = rig.upstreams;
    await down?.[Symbol.asyncDispose]();
    const headers = { cookie: 'mgpu_comfyui=0' };
    const moved = await ask(rig.at('/comfyui/prompt'), { method: 'POST', body: 'a job', headers });
    expect(moved.echo).toMatchObject({ gpu: 1, method: 'POST', bytes: 5 });
    expect(moved.cookie).toMatch(/^mgpu_comfyui=1;/);
    expect((await fetch(rig.atGpu(0, '/'))).status).toBe(502);
    await using _back = await startUpstream(0, rig.enginePort);
    expect((await ask(rig.at('/comfyui/'), { headers: { cookie: 'mgpu_comfyui=1' } })).echo.gpu).toBe(1);
    expect((await ask(rig.atGpu(0, '/'))).echo.gpu).toBe(0);
  });

  test('treats a cookie that names no GPU as none', async () => {
    await using rig = await startRig(1);
    const { echo, cookie } = await ask(rig.at('/comfyui/'), { headers: { cookie: 'mgpu_comfyui=7;x' } });
    expect([echo.gpu, cookie?.split(';')[0]]).toEqual([0, 'mgpu_comfyui=0']);
  });
});

describe('uploads', () => {
  test('of 50 MB go through without being stored on the way', async () => {
    await using rig = await startRig(1);
    const half = new Uint8Array(25_000_000);
    async function* body() {
      yield half;
      // Only what is passed on while it arrives is there before the rest was sent.
      await rig.upstreams[0]?.received(half.length / 2);
      yield half;
    }
    const upload: RequestInit = { method: 'POST', body: ReadableStream.from(body()), duplex: 'half' };
    const { echo } = await ask(rig.at('/comfyui/upload/image'), upload);
    expect(echo.bytes).toBe(50_000_000);
  });

  test('above the limit are refused', async () => {
    await using rig = await startRig(1, { maxUploadMiB: 1 });
    const body = new Uint8Array(1_100_000);
    expect((await fetch(rig.atGpu(0, '/upload/image'), { method: 'POST', body })).status).toBe(413);
  });
});
