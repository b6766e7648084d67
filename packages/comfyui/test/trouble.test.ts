import { MgpuError } from '@mgpu/core';
import { testIo } from '@mgpu/core/testing';
import { expect, test } from 'vitest';
import { type Asked, between, type Verdict } from './between.ts';
import { connect, invertGraph, job, slowGraph, startEngine } from './support.ts';

const cancelled = () => new MgpuError('cancelled by the test', { code: 'TEST_CANCELLED' });
const isSubmission = ({ method, path }: Asked) => method === 'POST' && path === '/prompt';
const submissions = (asked: readonly string[]) => asked.filter((each) => each === 'POST /prompt').length;

test.each<[string, Verdict]>([
  ['answers with 500', { status: 500, body: 'Internal Server Error' }],
  ['talks nonsense', { status: 200, body: 'hello' }],
  ['cuts the line', 'cut'],
])('an engine that takes no prompt and %s is asked a few times, not for ever', async (_, verdict) => {
  await using engine = await startEngine();
  await using proxy = await between(engine.service.endpoint.url);
  proxy.judge = (asked) => (isSubmission(asked) ? verdict : 'pass');
  await using connector = connect(engine, { maxSubmissions: 3 }, { url: proxy.url });
  await expect(connector.run(job({ prompt: invertGraph() }), testIo())).rejects.toMatchObject({
    code: verdict === 'cut' ? 'COMFYUI_UNREACHABLE' : 'COMFYUI_BAD_ANSWER',
    retryable: true,
  });
  expect(submissions(proxy.asked)).toBe(3);
});

test('a prompt that kills its engine before that has taken it is not given to it for ever', async () => {
  await using engine = await startEngine();
  await using proxy = await between(engine.service.endpoint.url);
  proxy.judge = async (asked): Promise<Verdict> => {
    if (!isSubmission(asked)) return 'pass';
    const exit = new Promise((resolve) => engine.service.on('exit', resolve));
    process.kill(engine.service.pid ?? 0, 'SIGKILL');
    await exit;
    return 'cut';
  };
  await using connector = connect(engine, {}, { url: proxy.url });
  const running = connector.run(job({ prompt: invertGraph() }), testIo());
  const told = expect(running).rejects.toMatchObject({ code: 'COMFYUI_JOB_KILLS_ENGINE', details: { deaths: 2 } });
  for (let deaths = 1; deaths <= 2; deaths++) {
    await expect.poll(() => submissions(proxy.asked)).toBe(deaths);
    await expect.poll(() => engine.service.status.state).toBe('failed');
    await Promise.allSettled([engine.service.start()]);
  }
  await told;
});

test('a submission that arrives late is not done as well', async () => {
  await using engine = await startEngine();
  await using proxy = await between(engine.service.endpoint.url);
  let lost: string | undefined;
  proxy.judge = (asked) => {
    if (!isSubmission(asked) || lost !== undefined) return 'pass';
    lost = asked.body;
    return 'cut';
  };
  await using connector = connect(engine, {}, { url: proxy.url });
  const io = testIo();
  const running = connector.run(job({ prompt: slowGraph({ seconds: 2 }) }), io);
  await io.until(({ node }) => node === '2');
  const { promptId: other } = await engine.client.submit(slowGraph({ seconds: 60 }));
  await fetch(new URL('prompt', engine.client.url), { method: 'POST', body: lost ?? '' });
  expect((await engine.client.queue()).pending).toHaveLength(2);
  await running;
  expect(await engine.client.queue()).toMatchObject({ running: [{ promptId: other }], pending: [] });
  await engine.client.interrupt(other);
});

test.each<Verdict>(['cut', { status: 500, body: 'Internal Server Error' }])(
  'cancel goes on through trouble: %j',
  async (verdict) => {
    await using engine = await startEngine();
    await using proxy = await between(engine.service.endpoint.url);
    await using connector = connect(engine, {}, { url: proxy.url });
    const io = testIo();
    const running = connector.run(job({ prompt: slowGraph({ seconds: 60, steps: 1_000 }) }), io);
    await io.until(({ node }) => node === '2');
    let troubles = 4;
    proxy.judge = () => (troubles-- > 0 ? verdict : 'pass');
    io.abort(cancelled());
    await expect(running).rejects.toMatchObject({ code: 'TEST_CANCELLED' });
    expect(await engine.client.queue()).toEqual({ running: [], pending: [] });
  },
);

test('cancel finds a prompt whose submission is still under way', async () => {
  await using engine = await startEngine();
  await using proxy = await between(engine.service.endpoint.url);
  const [asked, released] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  proxy.judge = async (request): Promise<Verdict> => {
    if (!isSubmission(request)) return 'pass';
    asked.resolve();
    await released.promise;
    return 'pass';
  };
  await using connector = connect(engine, {}, { url: proxy.url });
  const io = testIo();
  const running = connector.run(job({ prompt: slowGraph({ seconds: 60, steps: 1_000 }) }), io);
  await asked.promise;
  io.abort(cancelled());
  await expect.poll(() => proxy.asked).toContain('POST /interrupt');
  released.resolve();
  await expect(running).rejects.toMatchObject({ code: 'TEST_CANCELLED' });
  expect(await engine.client.queue()).toEqual({ running: [], pending: [] });
});

test('an engine that gives prompts ids of its own is too old, and keeps none of them', async () => {
  await using engine = await startEngine();
  await using proxy = await between(engine.service.endpoint.url);
  const deleted: string[] = [];
  proxy.judge = (asked) => {
    if (asked.method === 'POST' && asked.path === '/queue') deleted.push(asked.body);
    return isSubmission(asked) ? { status: 200, body: { prompt_id: 'own', number: 1, node_errors: {} } } : 'pass';
  };
  await using connector = connect(engine, {}, { url: proxy.url });
  await expect(connector.run(job({ prompt: invertGraph() }), testIo())).rejects.toMatchObject({
    code: 'COMFYUI_TOO_OLD',
    retryable: false,
  });
  expect(deleted).toEqual(['{"delete":["own"]}']);
});

test('an engine that refuses to answer at all is not waited for', async () => {
  await using engine = await startEngine();
  await using proxy = await between(engine.service.endpoint.url);
  proxy.judge = () => ({ status: 403, body: '' });
  await using connector = connect(engine, {}, { url: proxy.url });
  await expect(connector.ready(new AbortController().signal)).rejects.toMatchObject({ code: 'COMFYUI_REFUSED' });
});
