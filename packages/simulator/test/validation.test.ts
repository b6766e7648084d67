import { expect, it } from 'vitest';
import { emptyImage, freshColour, invert, type Link, preview, save, single } from './prompts.ts';
import { describeProtocol, type Json } from './support.ts';

/** The errors of one node, without what Python adds by the way. */
const errorsOf = (body: Json, node: string): Json[] => body.node_errors[node].errors;
const withInput = (inputs: Record<string, unknown>) => ({ prompt: single(inputs) });

describeProtocol('validation', (comfy) => {
  const refusal = async (body: unknown): Promise<Json> => {
    const answer = await comfy().submit(body);
    expect(answer.status).toBe(400);
    return answer.body;
  };

  it('refuses a body without a prompt', async () => {
    expect(await refusal({})).toEqual({
      error: { type: 'no_prompt', message: 'No prompt provided', details: 'No prompt provided', extra_info: {} },
      node_errors: {},
    });
  });

  it.each([{ prompt: {} }, { prompt: { 1: emptyImage() } }])('refuses a prompt without outputs: %j', async (body) => {
    expect((await refusal(body)).error).toEqual({
      type: 'prompt_no_outputs',
      message: 'Prompt has no outputs',
      details: '',
      extra_info: {},
    });
  });

  it('names an unknown class, with the title of the node', async () => {
    const { error, node_errors } = await refusal({
      prompt: { 7: { class_type: 'Nope', inputs: {}, _meta: { title: 'My node' } } },
    });
    expect(error).toMatchObject({
      type: 'missing_node_type',
      details: "Node ID '#7'",
      extra_info: { node_id: '7', class_type: 'Nope', node_title: 'My node' },
    });
    expect(error.message).toContain("'My node' not found");
    expect(node_errors).toEqual({});
  });

  it('names a node without a class', async () => {
    const { error } = await refusal({ prompt: { 7: { inputs: {} } } });
    expect(error).toMatchObject({
      type: 'missing_node_type',
      extra_info: { node_id: '7', class_type: null, node_title: null },
    });
  });

  it('lists every missing input of a node, and the output among its own errors in the details', async () => {
    const body = await refusal({
      prompt: {
        1: { class_type: 'EmptyImage', inputs: {} },
        2: { class_type: 'SaveImage', inputs: { images: ['1', 0] } },
      },
    });
    expect(body.error).toMatchObject({
      type: 'prompt_outputs_failed_validation',
      details: 'Required input is missing: filename_prefix',
    });
    expect(
      errorsOf(body, '1')
        .map((error) => [error.type, error.extra_info.input_name])
        .sort(),
    ).toEqual(['batch_size', 'color', 'height', 'width'].map((name) => ['required_input_missing', name]));
    expect(body.node_errors['1']).toMatchObject({ dependent_outputs: ['2'], class_type: 'EmptyImage' });
  });

  it.each([[['1']], [['1', 0, 0]]])('refuses the bad link %j', async (link) => {
    const body = await refusal({ prompt: { 1: emptyImage(), 2: save(link as unknown as Link) } });
    expect(errorsOf(body, '2')).toMatchObject([
      {
        type: 'bad_linked_input',
        message: 'Bad linked input, must be a length-2 list of [node_id, slot_index]',
        extra_info: { input_name: 'images', received_value: link },
      },
    ]);
  });

  it.each([
    ['a node that is not there', ['99', 0], "'99'", 'KeyError'],
    ['an output that is not there', ['1', 7], 'tuple index out of range', 'IndexError'],
  ])('reports a link to %s as a Python exception', async (_what, link, details, type) => {
    const body = await refusal({ prompt: { 1: emptyImage(), 2: save(link as Link) } });
    expect(errorsOf(body, '2')).toMatchObject([
      {
        type: 'exception_during_validation',
        details,
        extra_info: { exception_type: type, traceback: expect.any(Array) },
      },
    ]);
  });

  it('reports the same of a node behind as an inner exception', async () => {
    const body = await refusal({ prompt: { 2: invert(['99', 0]), 3: save(['2', 0]) } });
    expect(Object.keys(body.node_errors)).toEqual(['2']);
    expect(errorsOf(body, '2')).toMatchObject([
      {
        type: 'exception_during_inner_validation',
        extra_info: { input_name: 'images', exception_type: 'KeyError', linked_node: ['2', 0] },
      },
    ]);
  });

  it('refuses a link of another type', async () => {
    const mask = { class_type: 'SolidMask', inputs: { value: 1, width: 64, height: 64 } };
    const body = await refusal({ prompt: { 1: mask, 2: save(['1', 0]) } });
    expect(errorsOf(body, '2')).toMatchObject([
      {
        type: 'return_type_mismatch',
        details: 'images, received_type(MASK) mismatch input_type(IMAGE)',
        extra_info: { input_name: 'images', received_type: 'MASK', linked_node: ['1', 0] },
      },
    ]);
  });

  it.each([
    ['abc', "height, abc, invalid literal for int() with base 10: 'abc'"],
    ['64.5', "height, 64.5, invalid literal for int() with base 10: '64.5'"],
    [null, "height, None, int() argument must be a string, a bytes-like object or a real number, not 'NoneType'"],
    [{ a: 1 }, "height, {'a': 1}, int() argument must be a string, a bytes-like object or a real number, not 'dict'"],
    [
      { __value__: [3] },
      "height, [3], int() argument must be a string, a bytes-like object or a real number, not 'list'",
    ],
  ])('refuses %j as an integer', async (height, details) => {
    const body = await refusal(withInput({ height }));
    expect(errorsOf(body, '1')).toMatchObject([
      { type: 'invalid_input_type', message: 'Failed to convert an input value to a INT value', details },
    ]);
  });

  it.each([
    [0, 'value_smaller_than_min', 'Value 0 smaller than min of 1'],
    [99999, 'value_bigger_than_max', 'Value 99999 bigger than max of 16384'],
  ])('refuses the height %i', async (height, type, message) => {
    const body = await refusal(withInput({ height }));
    expect(errorsOf(body, '1')).toMatchObject([
      {
        type,
        message,
        details: 'height',
        extra_info: { input_name: 'height', input_config: ['INT', { min: 1, max: 16384 }], received_value: height },
      },
    ]);
  });

  it('refuses a value that is not on offer', async () => {
    const scale = {
      class_type: 'ImageScale',
      inputs: { image: ['1', 0], upscale_method: 'x', width: 8, height: 8, crop: 'disabled' },
    };
    const body = await refusal({ prompt: { 1: emptyImage(), 2: scale, 3: save(['2', 0]) } });
    expect(errorsOf(body, '2')).toMatchObject([
      {
        type: 'value_not_in_list',
        details: "upscale_method: 'x' not in ['nearest-exact', 'bilinear', 'area', 'bicubic', 'lanczos']",
        extra_info: { received_value: 'x' },
      },
    ]);
  });

  it('shows a list of more than twenty options by its length', async () => {
    const sampler = { class_type: 'KSampler', inputs: { sampler_name: 'x' } };
    const body = await refusal({
      prompt: {
        1: sampler,
        2: save(['1', 0]),
        3: { class_type: 'VAEDecode', inputs: { samples: ['1', 0] } },
        4: save(['3', 0]),
      },
    });
    const error = errorsOf(body, '1').find((one) => one.type === 'value_not_in_list');
    expect(error).toMatchObject({
      details: expect.stringMatching(/^sampler_name: 'x' not in \(list of length \d+\)$/),
      extra_info: { input_config: null },
    });
  });

  it.each(['nope.png', '../../../../../../etc/passwd'])('lets LoadImage refuse %s', async (image) => {
    const body = await refusal({ prompt: { 1: { class_type: 'LoadImage', inputs: { image } }, 2: save(['1', 0]) } });
    expect(errorsOf(body, '1')).toEqual([
      {
        type: 'custom_validation_failed',
        message: 'Custom validation failed for node',
        details: `image - Invalid image file: ${image}`,
        extra_info: { input_name: 'image' },
      },
    ]);
  });

  it('shows a cycle to each of its nodes', async () => {
    const body = await refusal({ prompt: { 3: invert(['4', 0]), 4: invert(['3', 0]), 5: save(['4', 0]) } });
    expect(Object.keys(body.node_errors)).toEqual(['3', '4']);
    for (const id of ['3', '4']) {
      expect(body.node_errors[id].dependent_outputs).toEqual(['5']);
      expect(errorsOf(body, id)).toMatchObject([
        {
          type: 'dependency_cycle',
          details: '4 (ImageInvert) -> 3 (ImageInvert) -> 4 (ImageInvert)',
          extra_info: { node_id: id, cycle_nodes: ['4', '3'] },
        },
      ]);
    }
  });

  it('blames a node for every output that fails with it', async () => {
    const body = await refusal({ prompt: { 1: emptyImage({ height: 0 }), 2: save(['1', 0]), 3: preview(['1', 0]) } });
    expect(body.node_errors['1'].dependent_outputs.sort()).toEqual(['2', '3']);
    expect(Object.keys(body.node_errors)).toEqual(['1']);
  });

  it('runs the good outputs of a partly valid prompt', async () => {
    const prompt = { ...single(), 3: emptyImage({ height: 0 }), 4: save(['3', 0]) };
    await using events = await comfy().events();
    const { status, body } = await comfy().submit({ prompt, client_id: events.clientId });
    expect(status).toBe(200);
    expect(errorsOf(body, '3')).toMatchObject([{ type: 'value_smaller_than_min' }]);
    await events.idle(body.prompt_id);
    const entry = (await comfy().get(`/history/${body.prompt_id}`))[body.prompt_id];
    expect(entry.status.status_str).toBe('success');
    expect(Object.keys(entry.outputs)).toEqual(['2']);
    expect(entry.prompt[4]).toEqual(['2']);
  });

  it('executes only the asked targets', async () => {
    const { entry } = await comfy().run({ ...single(), 4: save(['1', 0]) }, { partial_execution_targets: ['4'] });
    expect(Object.keys(entry.outputs)).toEqual(['4']);
  });

  it('takes numbers written as text, and ignores inputs it does not know', async () => {
    const { entry } = await comfy().run(single({ height: '32', color: freshColour(), other: 'thing' }));
    expect(entry.status.completed).toBe(true);
    expect(entry.prompt[2]['1'].inputs.height).toBe(32);
  });

  it.each(['x', '0B9F6F0E-6C1D-4F6B-9A54-2F7D3C1E8A10', 5])('refuses the prompt id %j', async (prompt_id) => {
    expect((await refusal({ prompt: single(), prompt_id })).error.type).toBe('invalid_prompt_id');
  });

  it('keeps the prompt id of the client', async () => {
    const prompt_id = crypto.randomUUID();
    const { id } = await comfy().run(single(), { prompt_id });
    expect(id).toBe(prompt_id);
  });

  it('counts refused submissions, but not those that bring a number', async () => {
    const first = (await comfy().submit({ prompt: single() })).body.number;
    await refusal({});
    await comfy().submit({ prompt: single(), number: 2.5 });
    const second = await comfy().submit({ prompt: single() });
    expect(second.body.number).toBe(first + 2);
    expect((await comfy().submit({ prompt: single(), front: true })).body.number).toBe(-(first + 3));
  });

  it.each(['{bad', '5', '{"prompt":[]}', '{"prompt":{"1":5}}'])('answers %s with a plain 500', async (body) => {
    const response = await comfy().post('/prompt', body);
    expect(response.status).toBe(500);
    expect(response.headers.get('content-type')).toBe('text/plain; charset=utf-8');
    expect(await response.text()).toBe('500 Internal Server Error\n\nServer got itself in trouble');
  });
});
