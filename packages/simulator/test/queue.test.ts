import { expect, it } from 'vitest';
import type { EventLog } from './event-log.ts';
import { emptyImage, endless, minimal, save, single, slow } from './prompts.ts';
import { type Comfy, describeProtocol, type Json } from './support.ts';

/** Starts a job that lasts until the test ends it. */
async function block(comfy: Comfy, events: EventLog): Promise<string> {
  const { body } = await comfy.submit({ prompt: endless(), client_id: events.clientId });
  await events.until(
    ({ type, data }) => type === 'executing' && data.node === '2' && data.prompt_id === body.prompt_id,
  );
  return body.prompt_id;
}

async function unblock(comfy: Comfy, events: EventLog, id: string): Promise<void> {
  await comfy.post('/queue', { clear: true });
  await comfy.post('/interrupt', { prompt_id: id });
  await events.idle(id);
}

describeProtocol('queue', (comfy) => {
  const enqueue = async (extra: Record<string, unknown> = {}): Promise<Json> =>
    (await comfy().submit({ prompt: single(), ...extra })).body;
  const pending = async (): Promise<number[]> =>
    (await comfy().get('/queue')).queue_pending.map((item: Json) => item[0]);

  it('shows running and pending items as tuples', async () => {
    await using events = await comfy().events();
    const id = await block(comfy(), events);
    const { prompt_id, number } = await enqueue({
      client_id: events.clientId,
      extra_data: { extra_pnginfo: { a: 1 }, auth_token_comfy_org: 'secret' },
    });
    const { queue_running, queue_pending } = await comfy().get('/queue');
    expect(queue_running).toMatchObject([
      [expect.any(Number), id, { 1: { class_type: 'EmptyImage' } }, { client_id: events.clientId }, ['3']],
    ]);
    expect(queue_pending).toHaveLength(1);
    expect(queue_pending[0]).toEqual([
      number,
      prompt_id,
      expect.any(Object),
      { extra_pnginfo: { a: 1 }, client_id: events.clientId, create_time: expect.any(Number) },
      ['2'],
    ]);
    expect(await comfy().get('/prompt')).toEqual({ exec_info: { queue_remaining: 2 } });
    expect(await comfy().get('/api/prompt')).toEqual({ exec_info: { queue_remaining: 2 } });
    await unblock(comfy(), events, id);
  });

  it('keeps the pending list as a heap, not sorted', async () => {
    await using events = await comfy().events();
    const id = await block(comfy(), events);
    for (const number of [10, 30, 20, 5, 40]) await enqueue({ number });
    expect(await pending()).toEqual([5, 10, 20, 30, 40]);
    await enqueue({ number: 7 });
    expect(await pending()).toEqual([5, 10, 7, 30, 40, 20]);
    const last = (await comfy().get('/queue')).queue_pending.find((item: Json) => item[0] === 10)[1];
    await comfy().post('/queue', { delete: [last] });
    expect(await pending()).toEqual([5, 7, 30, 40, 20]);
    await unblock(comfy(), events, id);
  });

  it('runs lower numbers first, and `front` before all', async () => {
    await using events = await comfy().events();
    const id = await block(comfy(), events);
    const ids = [];
    for (const extra of [{ number: 1e6 + 2 }, { number: 1e6 + 1 }, { front: true }])
      ids.push((await enqueue({ client_id: events.clientId, ...extra })).prompt_id);
    await comfy().post('/interrupt', { prompt_id: id });
    await events.idle(ids[0]);
    expect(events.data('execution_start').map(({ prompt_id }) => prompt_id)).toEqual([id, ids[2], ids[1], ids[0]]);
  });

  it('deletes what waits, with one status event, and two for the last one', async () => {
    await using events = await comfy().events();
    const id = await block(comfy(), events);
    const [first, second] = [await enqueue(), await enqueue()];
    const remaining = () => events.data('status').map((data) => data.status.exec_info.queue_remaining);
    await comfy().post('/queue', { delete: [first.prompt_id] });
    await comfy().post('/queue', { delete: [second.prompt_id] });
    await comfy().post('/queue', { delete: [second.prompt_id, 'unknown'] });
    await comfy().post('/queue', { clear: true });
    await unblock(comfy(), events, id);
    const all = remaining();
    // Deleted one of two; the last one, twice; two clears of an empty queue; the end of the job.
    expect(all.slice(all.lastIndexOf(3) + 1, all.length)).toEqual([2, 1, 1, 1, 1, 0]);
    expect(await comfy().get(`/history/${second.prompt_id}`)).toEqual({});
  });

  it('answers every change with an empty 200', async () => {
    for (const [path, body] of [
      ['/queue', { clear: true }],
      ['/queue', { delete: ['x'] }],
      ['/interrupt', undefined],
      ['/interrupt', {}],
      ['/interrupt', { prompt_id: 'x' }],
      ['/history', { delete: ['x'] }],
      ['/free', {}],
    ] as const) {
      const response = await comfy().post(path, body);
      expect([path, response.status, await response.text()]).toEqual([path, 200, '']);
    }
  });

  it('interrupts the running prompt, by its id or without', async () => {
    for (const body of [{}, { id: true }]) {
      await using events = await comfy().events();
      const id = await block(comfy(), events);
      await comfy().post('/interrupt', 'id' in body ? { prompt_id: id } : undefined);
      await events.idle(id);
      expect(events.types().slice(-3)).toEqual(['execution_interrupted', 'status', 'executing']);
      expect(events.data('execution_interrupted')).toEqual([
        { prompt_id: id, node_id: '2', node_type: 'SlowNode', executed: ['1'], timestamp: expect.any(Number) },
      ]);
      const entry = (await comfy().get(`/history/${id}`))[id];
      expect(entry.status).toMatchObject({ status_str: 'error', completed: false });
      expect(entry.status.messages.at(-1)[0]).toBe('execution_interrupted');
    }
  });

  it('leaves the running prompt alone when another is to be interrupted', async () => {
    await using events = await comfy().events();
    const { body } = await comfy().submit({
      prompt: { 1: emptyImage(), 2: slow(['1', 0], { seconds: 0.4, steps: 2 }), 3: save(['2', 0]) },
      client_id: events.clientId,
    });
    await events.named('progress', body.prompt_id);
    await comfy().post('/interrupt', { prompt_id: crypto.randomUUID() });
    await events.idle(body.prompt_id);
    expect(events.types()).toContain('execution_success');
  });

  it('forgets an interrupt that meets no prompt', async () => {
    await comfy().post('/interrupt');
    const { entry } = await comfy().run(single());
    expect(entry.status.status_str).toBe('success');
  });

  it('tells everyone of the interrupt of a prompt without a client id', async () => {
    await using events = await comfy().events();
    await comfy().submit({ prompt: endless({ steps: 300 }) });
    await events.named('progress');
    await comfy().post('/interrupt');
    expect((await events.named('execution_interrupted')).node_type).toBe('SlowNode');
    await events.empty(2);
  });

  it('knows nothing of unknown, pending and running prompts in its history', async () => {
    await using events = await comfy().events();
    const id = await block(comfy(), events);
    const waiting = await enqueue();
    for (const one of ['unknown', waiting.prompt_id, id]) {
      const response = await comfy().fetch(`/history/${one}`);
      expect([response.status, await response.json()]).toEqual([200, {}]);
    }
    await unblock(comfy(), events, id);
  });

  it('has the history complete at the last status', async () => {
    await using events = await comfy().events();
    const { body } = await comfy().submit({ prompt: minimal(), client_id: events.clientId });
    await events.named('execution_success', body.prompt_id);
    await events.empty(events.all.findIndex(({ type }) => type === 'execution_success'));
    const entry = (await comfy().get(`/history/${body.prompt_id}`))[body.prompt_id];
    expect(entry).toMatchObject({
      prompt: [body.number, body.prompt_id, {}, { client_id: events.clientId }, ['3']],
      outputs: { 3: { images: [{ type: 'output' }] } },
      status: { status_str: 'success', completed: true },
      meta: { 3: { node_id: '3', display_node: '3', parent_node: null, real_node_id: '3' } },
    });
    expect(entry.status.messages.map(([event]: [string]) => event)).toEqual([
      'execution_start',
      'execution_cached',
      'execution_success',
    ]);
  });

  it('pages its history, oldest first, and deletes from it', async () => {
    await comfy().post('/history', { clear: true });
    const ids = [];
    for (let i = 0; i < 3; i++) ids.push((await comfy().run(single())).id);
    const keys = async (query: string) => Object.keys(await comfy().get(`/history${query}`));
    expect(await keys('')).toEqual(ids);
    expect(await keys('?max_items=2')).toEqual(ids.slice(1));
    expect(await keys('?max_items=1&offset=1')).toEqual([ids[1]]);
    await comfy().post('/history', { delete: [ids[1]] });
    expect(await keys('')).toEqual([ids[0], ids[2]]);
  });

  it('drops the cached results when memory is to be freed', async () => {
    const prompt = single();
    await comfy().run(prompt);
    await comfy().post('/free', { free_memory: true, unload_models: true });
    const { events } = await comfy().run(prompt);
    expect(events.data('execution_cached')[0].nodes).toEqual([]);
  });

  it.each([
    ['/history?max_items=a', undefined],
    ['/queue', 'x'],
    ['/free', ''],
  ])('answers nonsense to %s with a plain 500', async (path, body) => {
    const response = body === undefined ? await comfy().fetch(path) : await comfy().post(path, body);
    expect([response.status, response.headers.get('content-type')]).toEqual([500, 'text/plain; charset=utf-8']);
  });
});
