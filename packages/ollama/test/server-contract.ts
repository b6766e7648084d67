import { createHash } from 'node:crypto';
import { testIo } from '@mgpu/core/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { all, connect, job, type TestServer } from './support.ts';
import { tinyModel } from './tiny-model.ts';

const model = 'mgpu-test-tiny';
const few = { num_predict: 4, temperature: 0, seed: 1 };

/** What client and connector promise, on whichever Ollama is there: the simulated and a real one. */
export function serverContract(open: () => Promise<TestServer>): void {
  let server: TestServer;
  beforeAll(async () => {
    server = await open();
    const { client } = server;
    const digest = await client.upload(tinyModel());
    const lines = await all(client.create({ model, files: { 'tiny.gguf': digest }, template: '{{ .Prompt }}' }));
    expect(lines.at(-1)).toEqual({ status: 'success' });
  }, 120_000);
  afterAll(async () => {
    await server?.client.delete(model);
    await server?.[Symbol.asyncDispose]();
  });

  test('it tells its version, its models, and what it knows of one', async () => {
    const { client } = server;
    expect(await client.version()).toMatch(/^\d+\.\d+\.\d+/);
    const listed = (await client.list()).find(({ name }) => name === `${model}:latest`);
    expect(listed).toMatchObject({ size: expect.any(Number), details: { format: 'gguf' } });
    expect(Date.parse(listed?.modified_at ?? '')).toBeGreaterThan(Date.now() - 3_600_000);
    expect(await client.show(model)).toMatchObject({ details: { format: 'gguf' } });
  });

  test('an answer comes in pieces and ends with its numbers', async () => {
    const parts = await all(server.client.generate({ model, prompt: 'once upon', options: few }));
    expect(parts.length).toBeLessThanOrEqual(few.num_predict + 1);
    expect(parts.map(({ done }) => done)).toEqual([...parts.slice(1).map(() => false), true]);
    const last = parts.at(-1);
    expect(['stop', 'length']).toContain(last?.done_reason);
    expect(last).toMatchObject({ total_duration: expect.any(Number), eval_count: expect.any(Number) });
  });

  test('the same question with the same seed has the same answer', async () => {
    const ask = async () => {
      const parts = await all(server.client.generate({ model, prompt: 'the sea', options: few }));
      return parts.map(({ response }) => response).join('');
    };
    expect(await ask()).toBe(await ask());
  });

  test('a conversation is answered by a message of the assistant', async () => {
    const messages = [{ role: 'user', content: 'who are you' }];
    const parts = await all(server.client.chat({ model, messages, options: few }));
    expect(parts.at(-1)).toMatchObject({ done: true, message: { role: 'assistant' } });
  });

  test('each text has a vector, and the same text the same one', async () => {
    const { embeddings } = await server.client.embed({ model, input: ['one', 'two', 'one'] });
    expect(embeddings).toHaveLength(3);
    expect(embeddings[0]?.length).toBeGreaterThan(0);
    // A real one computes the three at once, each in its own place of the batch.
    embeddings[2]?.forEach((value, at) => {
      expect(value).toBeCloseTo(embeddings[0]?.[at] ?? Number.NaN, 3);
    });
    expect(embeddings[1]).not.toEqual(embeddings[0]);
  });

  test('a model is in memory from its loading to its unloading', async () => {
    const { client } = server;
    const isLoaded = async () => (await client.ps()).some(({ name }) => name === `${model}:latest`);
    await client.load(model, { keepAlive: '5m' });
    expect(await isLoaded()).toBe(true);
    await client.unload(model);
    await expect.poll(isLoaded).toBe(false);
    await client.unload(model);
  });

  test('a copy is a model of its own', async () => {
    const { client } = server;
    const copy = `${model}-copy`;
    await client.copy(model, copy);
    await client.delete(copy);
    await expect(client.show(copy)).rejects.toMatchObject({ code: 'OLLAMA_MODEL_MISSING' });
    expect(await client.show(model)).toBeDefined();
  });

  test('a model that is not there is named, whatever is asked of it', async () => {
    const { client } = server;
    const missing = { code: 'OLLAMA_MODEL_MISSING', message: expect.stringContaining('mgpu-test-none') };
    const name = 'mgpu-test-none';
    await expect(all(client.generate({ model: name, prompt: 'x' }))).rejects.toMatchObject(missing);
    await expect(all(client.chat({ model: name, messages: [{ role: 'user', content: 'x' }] }))).rejects.toMatchObject(
      missing,
    );
    await expect(client.embed({ model: name, input: 'x' })).rejects.toMatchObject(missing);
    await expect(client.show(name)).rejects.toMatchObject(missing);
    await expect(client.delete(name)).rejects.toMatchObject(missing);
    await expect(client.copy(name, 'mgpu-test-other')).rejects.toMatchObject(missing);
  });

  test('a request that makes no sense is refused with what the server says', async () => {
    const refused = server.client.embed({ model, input: [1] as unknown as string[] });
    await expect(refused).rejects.toMatchObject({ code: 'OLLAMA_REFUSED', details: { status: 400 } });
    const nothing = all(server.client.create({ model: `${model}-x` }));
    await expect(nothing).rejects.toMatchObject({ code: expect.stringMatching(/^OLLAMA_(REFUSED|FAILED)$/) });
  });

  test('an answer that is called off ends with the reason', async () => {
    const controller = new AbortController();
    const reason = new Error('enough');
    const parts = server.client.generate(
      { model, prompt: 'go on', options: { ...few, num_predict: 200 } },
      { signal: controller.signal },
    );
    const reading = (async () => {
      for await (const _ of parts) controller.abort(reason);
    })();
    await expect(reading).rejects.toBe(reason);
  });

  test('a job to answer a prompt has the answer for an artifact', async () => {
    await using connector = connect(server);
    const io = testIo();
    const { output } = await connector.run(job({ generate: { model, prompt: 'once upon', options: few } }), io);
    const [answer] = io.stored;
    expect(io.stored).toHaveLength(1);
    expect(answer).toMatchObject({ name: 'answer.txt', mediaType: 'text/plain; charset=utf-8' });
    expect(answer?.sha256).toBe(
      createHash('sha256')
        .update(answer?.content ?? '')
        .digest('hex'),
    );
    expect(output).toMatchObject({ model, metrics: { eval_count: expect.any(Number) } });
    expect(output?.text ?? '').toBe(answer?.content.toString());
    expect(io.reports.at(-1)).toEqual({ percent: 100 });
  });

  test('a job to chat and one to embed have theirs', async () => {
    await using connector = connect(server, {}, { defaultModel: model });
    const [chat, embed] = [testIo(), testIo()];
    await connector.run(job({ chat: { messages: [{ role: 'user', content: 'hello' }], options: few } }), chat);
    expect(chat.stored.map(({ name }) => name)).toEqual(['answer.txt']);
    const { output } = await connector.run(job({ embed: { input: ['a', 'b'] } }), embed);
    const vectors = JSON.parse(embed.stored[0]?.content.toString() ?? '');
    expect(embed.stored[0]).toMatchObject({ name: 'embeddings.json', mediaType: 'application/json' });
    expect(vectors).toHaveLength(2);
    expect(output).toMatchObject({ count: 2, dimensions: vectors[0].length });
  });
}
