import { once } from 'node:events';
import { expect, it, onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import { EventLog } from './event-log.ts';
import { emptyImage, endless, minimal, preview, save, single, slow } from './prompts.ts';
import { type Comfy, describeProtocol } from './support.ts';

const webSocketImage = () => ({
  1: emptyImage({ width: 8, height: 8 }),
  2: { class_type: 'SaveImageWebsocket', inputs: { images: ['1', 0] } },
});

async function runWith(comfy: Comfy, events: EventLog, prompt: unknown): Promise<string> {
  const { body } = await comfy.submit({ prompt, client_id: events.clientId });
  await events.idle(body.prompt_id);
  return body.prompt_id;
}

describeProtocol('websocket', (comfy) => {
  it('greets with the state of the queue and the id of the client', async () => {
    await using events = await comfy().events({ clientId: 'somebody' });
    expect(events.data('status')).toEqual([{ status: { exec_info: { queue_remaining: 0 } }, sid: 'somebody' }]);
  });

  it('gives an id to a client without one, below /api as well', async () => {
    await using events = await EventLog.open(comfy().port, { clientId: '', path: '/api/ws' });
    expect(events.data('status')[0].sid).toMatch(/^[0-9a-f]{32}$/);
  });

  it('answers an offer of feature flags, if it is the first frame', async () => {
    await using events = await comfy().events({ metadata: true });
    expect(events.data('feature_flags')).toEqual([await comfy().get('/features')]);
    expect(events.data('feature_flags')[0]).toMatchObject({
      supports_preview_metadata: true,
      max_upload_size: 104857600,
    });
  });

  it('tells of a successful prompt in the real order', async () => {
    const { events, id } = await comfy().run(minimal());
    const perNode = ['progress_state', 'executing', 'progress_state'];
    expect(events.types()).toEqual([
      ...['status', 'status', 'status', 'execution_start', 'execution_cached', ...perNode, ...perNode],
      ...['progress_state', 'executing', 'executed', 'progress_state', 'execution_success', 'status', 'executing'],
    ]);
    expect(events.data('status').map((data) => data.status.exec_info.queue_remaining)).toEqual([0, 1, 1, 0]);
    expect(events.data('execution_start')).toEqual([{ prompt_id: id, timestamp: expect.any(Number) }]);
    expect(events.data('execution_cached')).toMatchObject([{ nodes: [], prompt_id: id }]);
    expect(events.data('executing')).toEqual([
      ...['1', '2', '3'].map((node) => ({ node, display_node: node, prompt_id: id })),
      { node: null, prompt_id: id },
    ]);
    expect(events.data('executed')).toMatchObject([
      { node: '3', display_node: '3', prompt_id: id, output: { images: [{ subfolder: 'test', type: 'output' }] } },
    ]);
  });

  it('lists all nodes touched so far in every progress_state', async () => {
    const { events, id } = await comfy().run(minimal());
    const states = events
      .data('progress_state')
      .map(({ nodes }) =>
        Object.entries(nodes as Record<string, { state: string }>).map(([node, { state }]) => `${node} ${state}`),
      );
    expect(states).toEqual([
      ['1 running'],
      ['1 finished'],
      ['1 finished', '2 running'],
      ['1 finished', '2 finished'],
      ['1 finished', '2 finished', '3 running'],
      ['1 finished', '2 finished', '3 finished'],
    ]);
    const [first] = events.data('progress_state');
    expect(first.nodes['1']).toEqual({
      value: 0,
      max: 1,
      state: 'running',
      node_id: '1',
      prompt_id: id,
      display_node_id: '1',
      parent_node_id: null,
      real_node_id: '1',
    });
  });

  it('repeats a cached prompt with the same file, and less to say', async () => {
    const prompt = minimal();
    const first = await comfy().run(prompt);
    const { events, entry } = await comfy().run(prompt);
    expect(events.types()).toEqual([
      'status',
      'status',
      'status',
      'execution_start',
      'execution_cached',
      'executed',
      'progress_state',
      'execution_success',
      'status',
      'executing',
    ]);
    expect(events.data('execution_cached')[0].nodes.sort()).toEqual(['1', '2', '3']);
    expect(events.data('executed')[0].output).toEqual(first.entry.outputs['3']);
    expect(entry.outputs).toEqual(first.entry.outputs);
  });

  it('executes what changed and takes the rest from the cache', async () => {
    const prompt = minimal();
    await comfy().run(prompt);
    const { events } = await comfy().run({ ...prompt, 3: save(['2', 0], 'test/other') });
    expect(events.data('execution_cached')[0].nodes.sort()).toEqual(['1', '2']);
    expect(events.data('executing').map(({ node }) => node)).toEqual(['3', null]);
  });

  it('forgets results that the next prompt did not use', async () => {
    const prompt = single();
    await comfy().run(prompt);
    await comfy().run(single());
    const { events } = await comfy().run(prompt);
    expect(events.data('execution_cached')[0].nodes).toEqual([]);
  });

  it('reports progress as progress_state, then progress', async () => {
    const { events, id } = await comfy().run({
      1: emptyImage(),
      2: slow(['1', 0], { seconds: 0.5, steps: 2 }),
      3: save(['2', 0]),
    });
    expect(events.data('progress')).toEqual([1, 2].map((value) => ({ value, max: 2, prompt_id: id, node: '2' })));
    const types = events.types();
    expect(types[types.indexOf('progress') - 1]).toBe('progress_state');
  });

  it('leaves out updates that come too fast, but never the first and the last', async () => {
    const { events } = await comfy().run({
      1: emptyImage(),
      2: slow(['1', 0], { seconds: 0.05, steps: 50 }),
      3: save(['2', 0]),
    });
    const values = events.data('progress').map(({ value }) => value);
    expect([values[0], values.at(-1)]).toEqual([1, 50]);
    expect(values.length).toBeLessThan(20);
  });

  it('sends only status and progress for a prompt without a client id, to everyone', async () => {
    await using events = await comfy().events();
    await comfy().submit({
      prompt: { 1: emptyImage(), 2: slow(['1', 0], { seconds: 0, steps: 1 }), 3: save(['2', 0]) },
    });
    // It runs after the other, so that all of that one's events are out.
    await comfy().run(single());
    await events.settled();
    expect(new Set(events.types())).toEqual(new Set(['status', 'progress_state', 'progress']));
  });

  it('sends the events of a prompt to its client alone', async () => {
    await using bystander = await comfy().events();
    await comfy().run(single());
    await bystander.settled();
    expect(new Set(bystander.types())).toEqual(new Set(['status']));
  });

  it('reports a failing node and leaves it running', async () => {
    const { events, id, entry } = await comfy().run({
      1: emptyImage(),
      2: slow(['1', 0], { seconds: 0, steps: 1, fail_at_step: 1 }),
      3: save(['2', 0]),
    });
    expect(events.types().slice(-4)).toEqual(['executing', 'execution_error', 'status', 'executing']);
    const [error] = events.data('execution_error');
    expect(error).toMatchObject({
      prompt_id: id,
      node_id: '2',
      node_type: 'SlowNode',
      executed: ['1'],
      exception_message: 'SlowNode failed as asked at step 1\n',
      exception_type: 'RuntimeError',
      traceback: expect.any(Array),
      current_inputs: { seconds: [0], steps: [1] },
      current_outputs: expect.any(Array),
      timestamp: expect.any(Number),
    });
    expect(events.data('progress_state').at(-1).nodes['2'].state).toBe('running');
    expect(entry.status).toMatchObject({ status_str: 'error', completed: false });
    expect(entry.status.messages.at(-1)).toEqual(['execution_error', error]);
  });

  it('reports exhausted memory as torch does', async () => {
    const { events } = await comfy().run({
      1: emptyImage(),
      2: slow(['1', 0], { seconds: 0, steps: 1, fail_at_step: 1, fail_kind: 'oom' }),
      3: save(['2', 0]),
    });
    expect(events.data('execution_error')[0]).toMatchObject({
      exception_type: 'torch.OutOfMemoryError',
      exception_message: expect.stringMatching(
        /^Allocation on device \nThis error means you ran out of memory on your GPU\./,
      ),
    });
  });

  const scale = { class_type: 'ImageScale', inputs: { upscale_method: 'area', width: 4, height: 4, crop: 'disabled' } };
  const sampler = {
    class_type: 'KSampler',
    inputs: { model: 'm', seed: 1, steps: 1, cfg: 1, sampler_name: 'euler', scheduler: 'normal', denoise: 1 },
  };
  const latent = { class_type: 'EmptyLatentImage', inputs: { width: 64, height: 64, batch_size: 1 } };
  it.each([
    ['SaveImage', { images: 'abc', filename_prefix: 'x' }, 'AttributeError', "'str' object has no attribute 'shape'"],
    ['SaveImage', { images: 5, filename_prefix: 'x' }, 'TypeError', "'int' object is not subscriptable"],
    ['SaveImage', { images: { a: 1 }, filename_prefix: 'x' }, 'KeyError', '0'],
    ['ImageScale', { ...scale.inputs, image: true }, 'AttributeError', "'bool' object has no attribute 'movedim'"],
    ['ImageInvert', { image: 'abc' }, 'TypeError', "unsupported operand type(s) for -: 'float' and 'str'"],
    ['MaskToImage', { mask: 1.5 }, 'AttributeError', "'float' object has no attribute 'reshape'"],
    ['VAEDecode', { samples: 'abc', vae: 'v' }, 'TypeError', "string indices must be integers, not 'str'"],
    ['VAEDecode', { samples: ['latent', 0], vae: 7 }, 'AttributeError', "'int' object has no attribute 'decode'"],
    [
      'KSampler',
      { ...sampler.inputs, positive: 'p', negative: 'n', latent_image: 5 },
      'TypeError',
      "'int' object is not subscriptable",
    ],
    [
      'KSampler',
      { ...sampler.inputs, positive: 'p', negative: 'n', latent_image: ['latent', 0] },
      'AttributeError',
      "'str' object has no attribute 'get_model_object'",
    ],
    ['SlowNode', { image: 'abc', seconds: 0, steps: 1 }, 'AttributeError', "'str' object has no attribute 'shape'"],
  ])('fails when a literal stands for a link: %s %j', async (class_type, inputs, exception_type, message) => {
    const decode = { class_type: 'VAEDecode', inputs: { samples: ['1', 0], vae: 'v' } };
    const { events } = await comfy().run({
      latent,
      1: { class_type, inputs },
      ...(class_type === 'KSampler' && { 2: decode }),
      ...(class_type !== 'SaveImage' && { 3: save([class_type === 'KSampler' ? '2' : '1', 0]) }),
    });
    expect(events.data('execution_error')[0]).toMatchObject({ exception_type, exception_message: `${message}\n` });
  });

  it.each(['/ws', '/api/ws'])('refuses %s to a page of another origin', async (path) => {
    const connect = (origin: string) => {
      const socket = new WebSocket(`ws://127.0.0.1:${comfy().port}${path}`, { origin });
      onTestFinished(() => socket.terminate());
      return once(socket, 'open').then(
        () => 'open',
        (error: Error) => error.message,
      );
    };
    expect(await connect('http://example.com')).toContain('403');
    expect(await connect(comfy().url)).toBe('open');
  });

  it('executes outputs as early as it can', async () => {
    const { events } = await comfy().run({
      1: emptyImage(),
      2: slow(['1', 0], { seconds: 0, steps: 1 }),
      3: save(['2', 0]),
      4: preview(['1', 0]),
    });
    const order = events.data('executing').map(({ node }) => node);
    expect(order.indexOf('4')).toBeLessThan(order.indexOf('2'));
  });

  it('sends images as binary frames of type 1, after the progress', async () => {
    const { events } = await comfy().run(webSocketImage());
    const [frame] = events.binaries();
    expect([frame?.readUInt32BE(0), frame?.readUInt32BE(4)]).toEqual([1, 2]);
    expect(frame?.subarray(9, 12).toString()).toBe('PNG');
    expect(events.types().indexOf('binary')).toBe(events.types().indexOf('progress') + 1);
  });

  it('sends them as type 4, before the progress, to a client that knows metadata', async () => {
    await using events = await comfy().events({ metadata: true });
    const id = await runWith(comfy(), events, webSocketImage());
    const [frame] = events.binaries();
    expect(frame?.readUInt32BE(0)).toBe(4);
    const length = frame?.readUInt32BE(4) ?? 0;
    expect(JSON.parse(String(frame?.subarray(8, 8 + length)))).toEqual({
      ...{ node_id: '2', prompt_id: id, display_node_id: '2', parent_node_id: null, real_node_id: '2' },
      image_type: 'image/png',
    });
    expect(frame?.subarray(9 + length, 12 + length).toString()).toBe('PNG');
    expect(events.types().indexOf('binary')).toBe(events.types().indexOf('progress') - 1);
  });

  it('tells the running node to a client that comes back, and forgets it with its first socket', async () => {
    const first = await comfy().events();
    const { body } = await comfy().submit({ prompt: endless(), client_id: first.clientId });
    await first.until(({ type, data }) => type === 'executing' && data.node === '2');
    await using second = await comfy().events({ clientId: first.clientId });
    expect(await second.named('executing')).toEqual({ node: '2' });
    await first[Symbol.asyncDispose]();
    await using bystander = await comfy().events();
    await comfy().post('/interrupt', { prompt_id: body.prompt_id });
    await bystander.empty(1);
    await comfy().run(single());
    await second.settled();
    expect(second.socket.readyState).toBe(WebSocket.OPEN);
    expect(second.types()).not.toContain('execution_interrupted');
  });
});
