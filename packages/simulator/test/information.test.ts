import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { emptyImage, endless, save, single, slow } from './prompts.ts';
import { describeProtocol, type Json } from './support.ts';

describeProtocol('information', (comfy) => {
  it('describes system and device', async () => {
    const { system, devices } = await comfy().get('/system_stats');
    expect(system).toMatchObject({
      os: 'linux',
      ram_total: expect.any(Number),
      ram_free: expect.any(Number),
      comfyui_version: expect.stringMatching(/^\d+\.\d+\.\d+$/),
      required_frontend_version: expect.any(String),
      comfy_package_versions: expect.any(Array),
      python_version: expect.stringMatching(/^3\./),
      pytorch_version: expect.any(String),
      embedded_python: false,
      deploy_environment: expect.any(String),
    });
    expect(system.argv.slice(0, 4)).toEqual(['main.py', '--cpu', '--port', String(comfy().port)]);
    expect(devices).toMatchObject([
      {
        name: 'cpu',
        type: 'cpu',
        index: null,
        vram_total: expect.any(Number),
        vram_free: expect.any(Number),
        torch_vram_total: expect.any(Number),
      },
    ]);
  });

  it('describes node classes, one or all', async () => {
    const { EmptyImage } = await comfy().get('/object_info/EmptyImage');
    expect(EmptyImage).toMatchObject({
      input: {
        required: { width: ['INT', { default: 512, min: 1, max: 16384 }], color: ['INT', { display: 'color' }] },
      },
      input_order: { required: ['width', 'height', 'batch_size', 'color'] },
      output: ['IMAGE'],
      output_is_list: [false],
      output_name: ['IMAGE'],
      name: 'EmptyImage',
      display_name: expect.any(String),
      description: '',
      python_module: 'nodes',
      category: 'image',
      output_node: false,
    });
    const all = await comfy().get('/object_info');
    expect(all.SaveImage).toMatchObject({
      output_node: true,
      input: { hidden: { prompt: 'PROMPT', extra_pnginfo: 'EXTRA_PNGINFO' } },
    });
    for (const name of [
      'ImageInvert',
      'ImageScale',
      'ImageBlend',
      'PreviewImage',
      'LoadImage',
      'CheckpointLoaderSimple',
      'CLIPTextEncode',
      'EmptyLatentImage',
      'KSampler',
      'VAEDecode',
    ]) {
      expect(all[name]).toMatchObject({ name, input: { required: expect.any(Object) } });
    }
    expect(await comfy().get('/object_info/Nope')).toEqual({});
  });

  it('lists models by type', async () => {
    mkdirSync(join(comfy().folder, 'models/loras/deep'), { recursive: true });
    writeFileSync(join(comfy().folder, 'models/loras/deep/a.safetensors'), '');
    expect(await comfy().get('/models')).toEqual(expect.arrayContaining(['checkpoints', 'loras', 'vae', 'embeddings']));
    expect(await comfy().get('/models/loras')).toEqual(['deep/a.safetensors']);
    const unknown = await comfy().fetch('/models/nope');
    expect([unknown.status, await unknown.text()]).toEqual([404, '']);
    expect(await comfy().get('/embeddings')).toEqual([]);
  });

  it('shows the metadata of a safetensors file', async () => {
    const header = Buffer.from(JSON.stringify({ __metadata__: { format: 'pt' } }));
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(header.length));
    mkdirSync(join(comfy().folder, 'models/vae'), { recursive: true });
    writeFileSync(join(comfy().folder, 'models/vae/m.safetensors'), Buffer.concat([length, header]));
    expect(await comfy().get('/view_metadata/vae?filename=m.safetensors')).toEqual({ format: 'pt' });
    expect((await comfy().fetch('/view_metadata/vae?filename=none.safetensors')).status).toBe(404);
    expect((await comfy().fetch('/view_metadata/vae')).status).toBe(404);
  });

  it.each([
    '/prompt',
    '/queue',
    '/history',
    '/system_stats',
    '/object_info/SaveImage',
    '/features',
    '/models',
    '/embeddings',
    '/extensions',
    '/users',
    '/settings',
  ])('answers %s below /api as well', async (path) => {
    const twin = await comfy().fetch(`/api${path}`);
    expect([twin.status, twin.headers.get('content-type')]).toEqual([200, 'application/json; charset=utf-8']);
  });

  it('has no twin of /internal and answers unknown paths with an empty 404', async () => {
    for (const path of ['/api/internal/logs', '/nope', '/api/nope', '/interrupt']) {
      const response = await comfy().fetch(path);
      expect([path, response.status, await response.text()]).toEqual([path, 404, '']);
    }
    expect((await comfy().fetch('/prompt', { method: 'PUT' })).status).toBe(405);
  });

  it('serves a page at /', async () => {
    const response = await comfy().fetch('/');
    expect([response.status, response.headers.get('content-type')]).toEqual([200, 'text/html']);
  });

  it('refuses a page of another origin with an empty 403', async () => {
    const foreign = await comfy().fetch('/prompt', { headers: { origin: 'http://example.com' } });
    expect([foreign.status, await foreign.text()]).toEqual([403, '']);
    expect((await comfy().fetch('/prompt', { headers: { origin: comfy().url } })).status).toBe(200);
  });

  it('asks for an upgrade at /ws', async () => {
    expect((await comfy().fetch('/ws')).status).toBe(400);
  });

  it('shows its log, and sends new lines to those who subscribe', async () => {
    await using events = await comfy().events();
    const subscription = await comfy().fetch('/internal/logs/subscribe', {
      method: 'PATCH',
      body: JSON.stringify({ clientId: events.clientId, enabled: true }),
    });
    expect([subscription.status, await subscription.text()]).toEqual([200, '']);
    await comfy().submit({});
    const logs = await events.named('logs');
    expect(logs.entries[0]).toEqual({ t: expect.stringMatching(/^\d{4}-\d\d-\d\dT/), m: expect.any(String) });
    expect(logs.size).toMatchObject({ cols: expect.any(Number) });
    expect(await comfy().get('/internal/logs')).toContain('got prompt');
    expect((await comfy().get('/internal/logs/raw')).entries.length).toBeGreaterThan(3);
  });

  it('lists folders and files', async () => {
    await comfy().run(single({}, 'flat'));
    expect((await comfy().get('/internal/folder_paths')).vae[0]).toBe(join(comfy().folder, 'models/vae'));
    expect((await comfy().get('/internal/files/output'))[0]).toBe('flat_00001_.png [output]');
    const unknown = await comfy().fetch('/internal/files/other');
    expect([unknown.status, await unknown.json()]).toEqual([400, { error: 'Invalid directory type' }]);
  });

  it('says that assets are disabled', async () => {
    const response = await comfy().fetch('/api/assets');
    expect([response.status, ((await response.json()) as Json).error.code]).toEqual([503, 'SERVICE_DISABLED']);
  });
});

describeProtocol('jobs', (comfy) => {
  it('lists finished jobs, the newest first', async () => {
    const done = await comfy().run(single(), { extra_data: { extra_pnginfo: { workflow: { id: 'flow-1' } } } });
    const failed = await comfy().run({
      1: emptyImage(),
      2: slow(['1', 0], { seconds: 0, steps: 1, fail_at_step: 1 }),
      3: save(['2', 0]),
    });
    const { jobs, pagination } = await comfy().get('/api/jobs');
    expect(jobs).toMatchObject([
      {
        id: failed.id,
        status: 'failed',
        outputs_count: 0,
        execution_error: { node_id: '2', exception_type: 'RuntimeError' },
      },
      {
        id: done.id,
        status: 'completed',
        priority: expect.any(Number),
        create_time: expect.any(Number),
        execution_start_time: expect.any(Number),
        execution_end_time: expect.any(Number),
        outputs_count: 1,
        preview_output: { ...done.entry.outputs['2'].images[0], nodeId: '2', mediaType: 'images' },
        workflow_id: 'flow-1',
      },
    ]);
    expect(jobs[1]).not.toHaveProperty('execution_error');
    expect(pagination).toMatchObject({ offset: 0, total: 2, has_more: false });
    const ids = async (query: string) => (await comfy().get(`/api/jobs?${query}`)).jobs.map((job: Json) => job.id);
    expect(await ids('status=failed')).toEqual([failed.id]);
    expect(await ids('sort_order=asc')).toEqual([done.id, failed.id]);
    expect(await ids('workflow_id=flow-1')).toEqual([done.id]);
    expect(await ids('limit=1&offset=1')).toEqual([done.id]);
    expect((await comfy().get('/api/jobs?limit=1')).pagination).toEqual({
      offset: 0,
      limit: 1,
      total: 2,
      has_more: true,
    });
  });

  it('shows one job in detail', async () => {
    const prompt = single();
    const { id, entry } = await comfy().run(prompt);
    expect(await comfy().get(`/api/jobs/${id}`)).toMatchObject({
      id,
      outputs: entry.outputs,
      execution_status: entry.status,
      workflow: { prompt },
    });
    const unknown = await comfy().fetch('/api/jobs/nope');
    expect([unknown.status, await unknown.json()]).toEqual([404, { error: 'Job not found' }]);
  });

  it.each([
    ['status=foo', 'Invalid status value(s): foo. Valid values: pending, in_progress, completed, failed, cancelled'],
    ['limit=0', 'limit must be a positive integer'],
    ['limit=a', 'limit must be an integer'],
    ['offset=x', 'offset must be an integer'],
    ['sort_by=z', "sort_by must be 'created_at' or 'execution_duration'"],
    ['sort_order=u', "sort_order must be 'asc' or 'desc'"],
  ])('refuses %s', async (query, error) => {
    const response = await comfy().fetch(`/api/jobs?${query}`);
    expect([response.status, await response.json()]).toEqual([400, { error }]);
  });

  it('cancels running and waiting jobs', async () => {
    await using events = await comfy().events();
    const running = (await comfy().submit({ prompt: endless(), client_id: events.clientId })).body.prompt_id;
    await events.named('progress', running);
    const [first, second] = [
      (await comfy().submit({ prompt: single() })).body.prompt_id,
      (await comfy().submit({ prompt: single() })).body.prompt_id,
    ];
    const status = async (id: string) => (await comfy().get(`/api/jobs/${id}`)).status;
    expect([await status(running), await status(first)]).toEqual(['in_progress', 'pending']);
    expect(await (await comfy().post('/api/jobs/cancel', { job_ids: [first] })).json()).toEqual({ cancelled: true });
    expect(await (await comfy().post(`/api/jobs/${second}/cancel`)).json()).toEqual({ cancelled: true });
    expect(await (await comfy().post(`/api/jobs/${running}/cancel`)).json()).toEqual({ cancelled: true });
    await events.idle(running);
    expect(await status(running)).toBe('cancelled');
    expect((await comfy().fetch(`/api/jobs/${first}`)).status).toBe(404);
    expect(await (await comfy().post(`/api/jobs/${running}/cancel`)).json()).toEqual({ cancelled: false });
  });

  it.each([
    ['x', { error: 'Request body must be valid JSON' }],
    ['{"job_ids":5}', { error: 'job_ids must be a list' }],
    ['{"job_ids":["x",5]}', { error: 'job_ids contains invalid id(s)', invalid_ids: ['x', '5'] }],
  ])('refuses to cancel %s', async (body, answer) => {
    const response = await comfy().post('/api/jobs/cancel', body);
    expect([response.status, await response.json()]).toEqual([400, answer]);
  });
});
