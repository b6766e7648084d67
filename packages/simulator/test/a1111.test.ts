import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { leasePorts } from '@mgpu/core/testing';
import { decode, encode } from 'fast-png';
import { describe, expect, it, vi } from 'vitest';
import { type A1111SimulationInput, a1111Program } from '../src/index.ts';
import { type Json, Program, temporaryFolder } from './support.ts';

interface Options {
  readonly sim?: A1111SimulationInput;
  readonly args?: readonly string[];
  readonly env?: Record<string, string>;
  /** Default: the API alone. */
  readonly page?: boolean;
}

/** A listening server with a folder of its own. */
async function start({ sim = {}, args = [], env = {}, page = false }: Options = {}) {
  const folder = temporaryFolder();
  const lease = await leasePorts(1);
  const words = ['launch.py', '--api', ...(page ? [] : ['--nowebui']), '--port', String(lease.first)];
  const program = new Program(process.execPath, [a1111Program(), ...words, '--data-dir', folder.path, ...args], {
    env: { ...env, MGPU_SIM_A1111: JSON.stringify({ stepMs: 2, ...sim }) },
  });
  const dispose = async () => {
    await program[Symbol.asyncDispose]();
    folder[Symbol.dispose]();
    lease[Symbol.dispose]();
  };
  await (page ? program.printed('Running on local URL', 'stdout') : program.printed('Uvicorn running')).catch(
    async (error) => {
      await dispose();
      throw error;
    },
  );
  const url = `http://127.0.0.1:${lease.first}`;
  return {
    program,
    folder: folder.path,
    port: lease.first,
    fetch: (path: string, init?: RequestInit) => fetch(url + path, init),
    get: async (path: string): Promise<Json> => (await fetch(`${url}/sdapi/v1/${path}`)).json(),
    post: (path: string, body: unknown = {}) =>
      fetch(`${url}/sdapi/v1/${path}`, {
        method: 'POST',
        body: typeof body === 'string' ? body : JSON.stringify(body),
      }),
    [Symbol.asyncDispose]: dispose,
  };
}

const small = (more: object = {}) => ({ width: 16, height: 16, steps: 2, ...more });
const pictures = async (answer: Response) => {
  const { images, info, parameters } = (await answer.json()) as Json;
  return {
    images: images.map((each: string) => decode(Buffer.from(each, 'base64'))),
    info: JSON.parse(info),
    parameters,
  };
};

async function ended(script: string, args: readonly string[] = []) {
  await using program = new Program(process.execPath, [a1111Program(), ...args], { env: { MGPU_SIM_A1111: script } });
  return { ...(await program.exit), stderr: program.stderr };
}

describe('the simulated Automatic1111', () => {
  it.each([
    ['{"stepsMs":1}', 'MGPU_SIM_A1111: unknown key stepsMs'],
    ['{"faults":{"websocket":{"refuse":true}}}', 'MGPU_SIM_A1111: unknown key faults.websocket'],
    ['{', 'MGPU_SIM_A1111: not JSON: '],
  ])('refuses the script %s', async (script, message) => {
    expect(await ended(script)).toMatchObject({ code: 2, stderr: expect.stringContaining(message) });
  });

  it.each([
    [['--nope'], 'launch.py: error: unrecognized arguments: --nope'],
    [['--port', 'x'], "launch.py: error: argument --port: invalid int value: 'x'"],
    [['--always-cpu'], 'launch.py: error: unrecognized arguments: --always-cpu'],
  ])('refuses the command line %j', async (args, message) => {
    expect(await ended('', args)).toMatchObject({ code: 2, stderr: expect.stringContaining(message) });
  });

  it('answers with pictures that carry their parameters, the grid first when it saves them', async () => {
    await using webui = await start();
    const plain = await pictures(await webui.post('txt2img', small({ prompt: 'x', seed: 3, n_iter: 2 })));
    expect(plain.images).toHaveLength(2);
    expect(plain.info).toMatchObject({ all_seeds: [3, 4], index_of_first_image: 0, job_timestamp: expect.any(String) });
    expect(plain.images[1].text.parameters).toMatch(
      /^x\nSteps: 2, Sampler: Euler, .*Seed: 4, Size: 16x16, .*Version: v1/,
    );
    expect(plain.parameters).toMatchObject({ steps: 2, cfg_scale: 7, save_images: false });
    const saved = await pictures(await webui.post('txt2img', small({ n_iter: 2, save_images: true })));
    expect(saved.images.map(({ width }: { width: number }) => width)).toEqual([32, 16, 16]);
    expect(saved.info.index_of_first_image).toBe(1);
  });

  it('takes an unknown sampler for its first', async () => {
    await using webui = await start();
    const { info } = await pictures(await webui.post('txt2img', small({ sampler_name: 'no such' })));
    expect(info.sampler_name).toBe('DPM++ 2M');
  });

  it('begins with a picture, and says what is wrong with one', async () => {
    await using webui = await start();
    const data = new Uint8Array(8 * 8 * 3).fill(200);
    const init = Buffer.from(encode({ width: 8, height: 8, data, channels: 3 })).toString('base64');
    const body = small({ init_images: [`data:image/png;base64,${init}`], denoising_strength: 0 });
    const { images, parameters } = await pictures(await webui.post('img2img', body));
    expect([...images[0].data]).toEqual(Array.from({ length: 16 * 16 * 3 }, () => 200));
    expect(parameters.init_images).toBeNull();
    const [none, bad] = [
      await webui.post('img2img', small()),
      await webui.post('img2img', small({ init_images: ['x'] })),
    ];
    expect([none.status, bad.status]).toEqual([404, 500]);
    expect(await none.json()).toEqual({ error: 'HTTPException', detail: 'Init image not found', body: '', errors: '' });
  });

  it('does one request after another, and tells how far the one that runs is', async () => {
    await using webui = await start({ sim: { stepMs: 10 } });
    const order: number[] = [];
    const jobs = [1, 2, 3].map(async (seed) => {
      await webui.post('txt2img', small({ seed, steps: 40 }));
      order.push(seed);
    });
    const seen: Json[] = [];
    await vi.waitUntil(async () => {
      seen.push(await webui.get('progress'));
      return seen.at(-1).current_image !== null;
    });
    const last = seen.at(-1);
    expect(last.state).toMatchObject({ job: 'scripts_txt2img', job_count: 1, sampling_steps: 40 });
    expect(last.progress).toBeGreaterThan(0.2);
    expect((await webui.get('progress?skip_current_image=true')).current_image).toBeNull();
    await Promise.all(jobs);
    expect(order).toEqual([1, 2, 3]);
    expect(await webui.get('progress')).toMatchObject({
      progress: 0,
      state: { job: '', job_count: 0, sampling_steps: 40 },
    });
  });

  it('answers an interrupted request as a success, and remembers it until the next begins', async () => {
    await using webui = await start({ sim: { stepMs: 10 } });
    const running = webui.post('txt2img', small({ steps: 1000, n_iter: 3 }));
    await vi.waitUntil(async () => (await webui.get('progress')).state.sampling_step > 0);
    expect(await (await webui.post('interrupt')).json()).toEqual({});
    const answer = await running;
    expect(answer.status).toBe(200);
    const { images, info } = await pictures(answer);
    expect(images).toHaveLength(1);
    expect((await webui.get('progress')).state).toMatchObject({ interrupted: true, job_timestamp: info.job_timestamp });
    await webui.post('txt2img', small());
    expect((await webui.get('progress')).state.interrupted).toBe(false);
  });

  it('skips to the next batch', async () => {
    await using webui = await start({ sim: { stepMs: 10 } });
    const running = webui.post('txt2img', small({ steps: 60, n_iter: 2 }));
    await vi.waitUntil(async () => (await webui.get('progress')).state.sampling_step > 0);
    expect(await (await webui.post('skip')).json()).toBeNull();
    expect((await pictures(await running)).images).toHaveLength(2);
  });

  it('tells fields that are wrong, each flavour in its words', async () => {
    await using webui = await start();
    const answer = await webui.post('txt2img', { steps: 'many', alwayson_scripts: [] });
    expect([answer.status, await answer.json()]).toEqual([
      422,
      {
        detail: [
          { loc: ['body', 'steps'], msg: 'value is not a valid integer', type: 'type_error.integer' },
          { loc: ['body', 'alwayson_scripts'], msg: 'value is not a valid dict', type: 'type_error.dict' },
        ],
      },
    ]);
    expect((await webui.post('txt2img', '{')).status).toBe(422);
    await using forge = await start({ sim: { flavour: 'forge' }, args: ['--always-cpu'] });
    const other = (await (await forge.post('txt2img', { steps: 'many' })).json()) as Json;
    expect(other.detail[0]).toMatchObject({ type: 'int_type', input: 'many', url: expect.any(String) });
    expect((await forge.fetch('/sdapi/v1/sd-vae')).status).toBe(404);
    expect((await forge.fetch('/sdapi/v1/sd-modules')).status).toBe(200);
  });

  it('loads checkpoints: from folders, in the background at the start, by any of their names', async () => {
    using models = temporaryFolder();
    mkdirSync(join(models.path, 'Stable-diffusion'));
    writeFileSync(join(models.path, 'Stable-diffusion', 'first.safetensors'), '');
    const sim = { modelMs: 200, checkpoints: [] };
    await using webui = await start({ sim, args: ['--models-dir', models.path] });
    expect((await webui.fetch('/sdapi/v1/cmd-flags')).status).toBe(200);
    expect((await (await webui.fetch('/sim/state')).json()) as Json).toMatchObject({ loaded: null });
    await webui.post('txt2img', small());
    expect(webui.program.stdout).toContain('Model loaded in 0.2s');
    writeFileSync(join(models.path, 'Stable-diffusion', 'second.ckpt'), '');
    expect((await webui.post('options', { sd_model_checkpoint: 'second' })).status).toBe(500);
    await webui.post('refresh-checkpoints');
    expect((await webui.post('options', { sd_model_checkpoint: 'second', CLIP_stop_at_last_layers: 2 })).status).toBe(
      200,
    );
    const { sd_model_checkpoint } = await webui.get('options');
    expect(sd_model_checkpoint).toMatch(/^second\.ckpt \[[0-9a-f]{10}\]$/);
    const kept = JSON.parse(readFileSync(join(webui.folder, 'config.json'), 'utf8'));
    expect(kept).toMatchObject({ sd_model_checkpoint, CLIP_stop_at_last_layers: 2 });
  });

  it('goes on without a checkpoint, and fails each job', async () => {
    await using webui = await start({ sim: { checkpoints: [] } });
    const answer = await webui.post('txt2img', small());
    expect([answer.status, await answer.json()]).toMatchObject([500, { error: 'AttributeError', detail: '' }]);
    expect(webui.program.stdout).toContain('No checkpoints found.');
  });

  it('is attached a moment after the page, and only the page has /internal', async () => {
    await using webui = await start({ page: true, sim: { apiMs: 300 } });
    expect((await webui.fetch('/internal/ping')).status).toBe(200);
    expect((await webui.fetch('/sdapi/v1/cmd-flags')).status).toBe(404);
    await vi.waitUntil(async () => (await webui.fetch('/sdapi/v1/cmd-flags')).status === 200, 10_000);
    await using bare = await start();
    expect((await bare.fetch('/internal/ping')).status).toBe(404);
    expect((await bare.fetch('/')).status).toBe(404);
  });

  it('wants a password where there is one, and packs large answers', async () => {
    await using webui = await start({ args: ['--api-auth', 'a:b,c:d'] });
    const refused = await webui.fetch('/sdapi/v1/options');
    expect([refused.status, refused.headers.get('www-authenticate')]).toEqual([401, 'Basic']);
    const headers = { authorization: `Basic ${btoa('c:d')}` };
    const answer = await webui.fetch('/sdapi/v1/cmd-flags', { headers });
    expect(answer.headers.get('content-encoding')).toBe('gzip');
    expect(Number(answer.headers.get('x-process-time'))).toBeGreaterThanOrEqual(0);
    expect((await answer.json()) as Json).toMatchObject({ api: true, port: webui.port, data_dir: webui.folder });
  });

  it('is ended through its API only when it was started so', async () => {
    await using firm = await start();
    expect((await firm.post('server-kill')).status).toBe(404);
    await using webui = await start({ args: ['--api-server-stop'] });
    expect((await webui.post('server-restart')).status).toBe(501);
    await expect(webui.post('server-kill')).rejects.toThrow();
    expect(await webui.program.exit).toEqual({ code: 0, signal: null });
  });

  it('ends in order without a page: after the request that runs', async () => {
    await using webui = await start({ sim: { stepMs: 10 } });
    const running = webui.post('txt2img', small({ steps: 20 }));
    await vi.waitUntil(async () => (await webui.get('progress')).state.job !== '');
    webui.program.child.kill('SIGTERM');
    expect((await running).status).toBe(200);
    expect(await webui.program.exit).toEqual({ code: 0, signal: null });
  });

  it('dies of SIGTERM with a page, and ends by itself on SIGINT', async () => {
    await using webui = await start({ page: true });
    webui.program.child.kill('SIGTERM');
    expect(await webui.program.exit).toEqual({ code: null, signal: 'SIGTERM' });
    await using other = await start({ page: true });
    other.program.child.kill('SIGINT');
    expect(await other.program.exit).toEqual({ code: 0, signal: null });
  });

  it('says that its port is taken, and ends', async () => {
    await using webui = await start();
    const args = ['--nowebui', '--port', String(webui.port), '--data-dir', webui.folder];
    expect(await ended('', args)).toMatchObject({ code: 1, stderr: expect.stringContaining('address already in use') });
  });

  it('has the faults of the simulated ComfyUI', async () => {
    await using webui = await start({ sim: { stepMs: 0 } });
    const set = (faults: object) => webui.fetch('/sim/faults', { method: 'PUT', body: JSON.stringify(faults) });
    await set({ outOfMemory: { atStep: 1, times: 1 } });
    const full = await webui.post('txt2img', small());
    expect([full.status, await full.json()]).toMatchObject([
      500,
      { error: 'OutOfMemoryError', errors: expect.stringContaining('CUDA out of memory. Tried to allocate') },
    ]);
    expect((await webui.post('txt2img', small())).status).toBe(200);
    await set({ garbageJson: { paths: ['/sdapi/v1/progress'] } });
    await expect(webui.get('progress')).rejects.toThrow(SyntaxError);
    expect((await set({ hagn: {} })).status).toBe(400);
    await set({ hang: { atStep: 2, match: 'stuck' } });
    const stuck = webui.post('txt2img', small({ prompt: 'stuck' })).catch(() => 'cut');
    await vi.waitUntil(
      async () => (((await (await webui.fetch('/sim/state')).json()) as Json).strikes.hang ?? 0) === 1,
    );
    await webui.post('interrupt');
    expect((await webui.get('progress')).state.job).toBe('scripts_txt2img');
    webui.program.child.kill('SIGKILL');
    expect(await stuck).toBe('cut');
    await using dead = await start({ sim: { faults: { dieMidJob: { atNode: 2, exitCode: 134 } } } });
    await expect(dead.post('txt2img', small({ n_iter: 2 }))).rejects.toThrow();
    expect((await dead.program.exit).code).toBe(134);
  });
});
