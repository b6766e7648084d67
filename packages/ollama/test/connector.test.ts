import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { JobHandoverError, MgpuError } from '@mgpu/core';
import { temporaryFolder, testIo } from '@mgpu/core/testing';
import { expect, test } from 'vitest';
import { connect, job, type OwnServer, type OwnServerOptions, pulled, startServer } from './support.ts';

const cancelled = () => new MgpuError('cancelled by the test', { code: 'TEST_CANCELLED' });
const question = (more: object = {}) => job({ generate: { model: 'llama3', prompt: 'why is the sky blue', ...more } });

async function open(options: OwnServerOptions = {}): Promise<OwnServer> {
  const server = await startServer(options);
  await pulled(server.client, 'llama3');
  return server;
}

test.each([
  [undefined, /is not valid: input/],
  [{}, /exactly one of generate, chat and embed/],
  [{ generate: { prompt: 'x' }, embed: { input: 'x' } }, /exactly one/],
  [{ generate: { prompt: '' } }, /generate\.prompt/],
  [{ generate: { prompt: 'x', stream: false } }, /stream/],
  [{ chat: { messages: [] } }, /chat\.messages/],
  [{ chat: { messages: [{ role: 'robot', content: 'x' }] } }, /chat\.messages\.0\.role/],
  [{ embed: { input: [] } }, /embed\.input/],
  [{ generate: { prompt: 'x', images: ['not base64!'] } }, /generate\.images\.0/],
  [{ generate: { prompt: 'x', images: [{ path: 'relative.png' }] } }, /must be absolute/],
  [{ generate: { prompt: 'x' } }, /no(ne is named|.*default)/],
])('an input that is no request is refused: %j', async (input, problem) => {
  await using connector = connect({ url: new URL('http://127.0.0.1:9') });
  await expect(connector.run(job(input), testIo())).rejects.toMatchObject({
    code: 'OLLAMA_INPUT_INVALID',
    message: expect.stringMatching(problem),
  });
});

test('progress counts tokens, in percent where their number is limited, and the text so far is shown', async () => {
  await using server = await open();
  await using connector = connect(server, { previewMs: 0 });
  const [limited, free] = [testIo(), testIo()];
  await connector.run(question({ options: { num_predict: 4 } }), limited);
  expect(limited.reports).toEqual([
    { percent: 0, node: 'loading' },
    ...[1, 2, 3].map((step) => ({ percent: step * 25, node: 'answering', step, steps: 4 })),
    { percent: 99, node: 'answering', step: 4, steps: 4 },
    { percent: 100 },
  ]);
  const texts = limited.previews.map(({ data }) => Buffer.from(data).toString());
  expect(texts.at(-1)).toBe(limited.stored[0]?.content.toString());
  expect(texts).toHaveLength(4);
  await connector.run(question(), free);
  expect(free.reports.at(-2)).toEqual({ percent: 0, node: 'answering', step: 16 });
});

test('JSON, thoughts and calls of tools are artifacts of their own', async () => {
  await using server = await startServer();
  await pulled(server.client, 'qwen3');
  await using connector = connect(server, {}, { defaultModel: 'qwen3' });
  const [thinking, calling] = [testIo(), testIo()];
  await connector.run(job({ generate: { prompt: 'x', format: 'json', think: true } }), thinking);
  expect(thinking.stored.map(({ name, mediaType }) => [name, mediaType])).toEqual([
    ['answer.json', 'application/json'],
    ['thinking.txt', 'text/plain; charset=utf-8'],
  ]);
  expect(JSON.parse(thinking.stored[0]?.content.toString() ?? '')).toHaveProperty('answer');
  expect(thinking.reports).toContainEqual({ percent: 0, node: 'thinking', step: 1 });
  const tools = [{ type: 'function', function: { name: 'weather', parameters: {} } }];
  const messages = [{ role: 'user', content: 'use weather please' }];
  await connector.run(job({ chat: { messages, tools } }), calling);
  expect(calling.stored.map(({ name }) => name)).toEqual(['tool_calls.json']);
  expect(JSON.parse(calling.stored[0]?.content.toString() ?? '')).toEqual([
    { function: { name: 'weather', arguments: {} } },
  ]);
});

test('pictures come from files of this machine', async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, 'picture.png');
  await writeFile(path, 'not really');
  await using server = await startServer();
  await pulled(server.client, 'llava', 'llama3');
  await using connector = connect(server, {}, { defaultModel: 'llava' });
  const io = testIo();
  await connector.run(job({ chat: { messages: [{ role: 'user', content: 'what is it', images: [{ path }] }] } }), io);
  expect(io.stored).toHaveLength(1);
  const missing = job({ generate: { prompt: 'x', images: [{ path: `${path}.none` }] } });
  await expect(connector.run(missing, testIo())).rejects.toMatchObject({
    code: 'OLLAMA_IMAGE',
    message: expect.stringContaining('ENOENT'),
  });
  const blind = job({ generate: { model: 'llama3', prompt: 'x', images: [{ path }] } });
  await expect(connector.run(blind, testIo())).rejects.toMatchObject({ code: 'OLLAMA_REFUSED' });
});

test.each([cancelled(), new JobHandoverError({ job: 'one', worker: 'worker_gpu0' })])(
  'a job that is called off stops in the server: %s',
  async (reason) => {
    await using server = await open({ sim: { tokenMs: 20, tokens: 10_000 } });
    await using connector = connect(server);
    const io = testIo();
    const running = connector.run(question(), io);
    await io.until(({ step = 0 }) => step > 2);
    expect(await server.state()).toMatchObject({ active: 1 });
    io.abort(reason);
    await expect(running).rejects.toBe(reason);
    await expect.poll(() => server.state()).toMatchObject({ active: 0, answered: 0 });
  },
);

test('a server that dies in the middle gets the job again when it is back', async () => {
  using folder = temporaryFolder();
  const dieMidJob = { atToken: 3, times: 1, countFile: join(folder.path, 'deaths'), signal: 'SIGKILL' as const };
  await using server = await open({ sim: { faults: { dieMidJob } } });
  await using connector = connect(server);
  const io = testIo();
  const running = connector.run(question(), io);
  await expect.poll(() => server.service.status.state).toBe('failed');
  await server.service.start();
  await running;
  expect(io.stored).toHaveLength(1);
  expect(io.checkpoints).toEqual([{ v: 1, deaths: 1 }]);
});

test('a job that a server died of twice is not given to it again, whoever saw the first time', async () => {
  await using server = await open({ sim: { faults: { dieMidJob: { signal: 'SIGSEGV' } } } });
  await using connector = connect(server);
  const running = connector.run({ ...question(), resumed: { v: 1, deaths: 1 } }, testIo());
  await expect(running).rejects.toMatchObject({
    code: 'OLLAMA_JOB_KILLS_ENGINE',
    retryable: false,
    details: { deaths: 2 },
  });
});

test('a server that does not come back is given up, with the blame where it belongs', async () => {
  await using server = await open({ sim: { faults: { dieMidJob: {} } } });
  await using connector = connect(server, { goneMs: 200 });
  await expect(connector.run(question(), testIo())).rejects.toMatchObject({
    code: 'OLLAMA_ENGINE_LOST',
    details: { fault: 'engine-fault' },
  });
  await expect(connector.run(question(), testIo())).rejects.toMatchObject({
    code: 'OLLAMA_ENGINE_LOST',
    details: { fault: 'retryable' },
  });
});

test('a server that has no room for the moment is asked again, but not for ever', async () => {
  await using server = await open({ sim: { faults: { busy: { times: 1 } } } });
  await using connector = connect(server, { maxBusy: 2 });
  await connector.run(question(), testIo());
  await server.faults({ busy: {} });
  await expect(connector.run(question(), testIo())).rejects.toMatchObject({ code: 'OLLAMA_BUSY', retryable: true });
});

test.each([
  [{ outOfMemory: {} }, 'OLLAMA_OUT_OF_MEMORY', true],
  [{ raise: { message: 'CUDA error: an illegal memory access was encountered' } }, 'OLLAMA_ENGINE_FAULT', true],
  [{ raise: { atToken: 3, message: 'CUDA error: unspecified launch failure' } }, 'OLLAMA_ENGINE_FAULT', true],
  [{ raise: {} }, 'OLLAMA_FAILED', true],
  [{ raise: { atToken: 2 } }, 'OLLAMA_FAILED', true],
  [{ garbageJson: { paths: ['/api/generate'] } }, 'OLLAMA_BAD_ANSWER', true],
])('%j is told as %s', async (faults, code, retryable) => {
  await using server = await open({ sim: { faults } });
  await using connector = connect(server);
  await expect(connector.run(question(), testIo())).rejects.toMatchObject({ code, retryable });
});

test('an engine that cannot use its GPU any more is reported as such', async () => {
  await using server = await open({
    sim: { faults: { raise: { message: 'CUDA error: device-side assert triggered' } } },
  });
  await using connector = connect(server);
  await expect(connector.run(question(), testIo())).rejects.toMatchObject({ details: { fault: 'engine-fault' } });
});

test('it is ready when the server answers, and stops waiting when told', async () => {
  await using server = await startServer();
  await using connector = connect(server);
  await connector.ready(new AbortController().signal);
  await server.service.stop();
  const controller = new AbortController();
  const waiting = connector.ready(controller.signal);
  const reason = cancelled();
  controller.abort(reason);
  await expect(waiting).rejects.toBe(reason);
  const back = connector.ready(new AbortController().signal);
  await server.service.start();
  await back;
});
