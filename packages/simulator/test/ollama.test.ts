import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { join } from 'node:path';
import { leasePorts } from '@mgpu/core/testing';
import { describe, expect, it } from 'vitest';
import { type OllamaSimulationInput, ollamaProgram } from '../src/index.ts';
import { type Json, Program, temporaryFolder } from './support.ts';

interface OllamaOptions {
  readonly sim?: OllamaSimulationInput;
  readonly env?: Record<string, string>;
  readonly home?: string;
  readonly port?: number;
}

/** A server with a home of its own. */
class Ollama implements AsyncDisposable {
  readonly program: Program;
  readonly port: number;
  readonly home: string;
  readonly #cleanup: () => void;

  private constructor(program: Program, port: number, home: string, cleanup: () => void) {
    this.program = program;
    this.port = port;
    this.home = home;
    this.#cleanup = cleanup;
  }

  static async launch({ sim = {}, env = {}, home, port }: OllamaOptions = {}): Promise<Ollama> {
    const folder = home === undefined ? temporaryFolder() : { path: home, [Symbol.dispose]() {} };
    const lease = port === undefined ? await leasePorts(1) : undefined;
    const own = port ?? (lease?.first as number);
    const program = new Program(process.execPath, [ollamaProgram(), 'serve'], {
      env: {
        HOME: folder.path,
        OLLAMA_HOST: `127.0.0.1:${own}`,
        MGPU_SIM_OLLAMA: JSON.stringify({ tokenMs: 1, ...sim }),
        ...env,
      },
    });
    return new Ollama(program, own, folder.path, () => {
      folder[Symbol.dispose]();
      lease?.[Symbol.dispose]();
    });
  }

  static async start(options: OllamaOptions = {}): Promise<Ollama> {
    const ollama = await Ollama.launch(options);
    try {
      await ollama.program.printed('Listening on');
    } catch (error) {
      await ollama[Symbol.asyncDispose]();
      throw error;
    }
    return ollama;
  }

  fetch(path: string, init?: RequestInit): Promise<Response> {
    return fetch(`http://127.0.0.1:${this.port}${path}`, init);
  }

  async get(path: string): Promise<Json> {
    return (await this.fetch(path)).json();
  }

  post(path: string, body: unknown): Promise<Response> {
    return this.fetch(path, { method: 'POST', body: JSON.stringify(body) });
  }

  /** The lines of a stream. */
  async lines(path: string, body: unknown): Promise<Json[]> {
    const text = await (await this.post(path, body)).text();
    return text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
  }

  get models(): string {
    return join(this.home, '.ollama/models');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.program[Symbol.asyncDispose]();
    this.#cleanup();
  }
}

const names = ({ models }: Json) => models.map(({ name }: Json) => name);

describe('the program', () => {
  it('tells its version, and refuses what it does not know', async () => {
    await using version = new Program(process.execPath, [ollamaProgram(), '--version']);
    expect((await version.exit).code).toBe(0);
    expect(version.stdout).toContain('client version is 0.32.7');
    await using unknown = new Program(process.execPath, [ollamaProgram(), 'dance']);
    expect((await unknown.exit).code).toBe(1);
    expect(unknown.stderr).toBe('Error: unknown command "dance" for "ollama"\n');
  });

  it.each([
    ['{"faults":{"hnag":{}}}', 'MGPU_SIM_OLLAMA: unknown key faults.hnag'],
    ['{"tokens":0}', 'MGPU_SIM_OLLAMA: tokens: '],
    ['{"faults":{"dieMidJob":{"times":1}}}', 'times and countFile need each other'],
  ])('refuses the script %s', async (script, message) => {
    await using program = new Program(process.execPath, [ollamaProgram(), 'serve'], {
      env: { MGPU_SIM_OLLAMA: script },
    });
    expect((await program.exit).code).toBe(2);
    expect(program.stderr).toContain(message);
  });

  it('ends with exit code 1 and one line on a port that is taken, and without a home', async () => {
    await using first = await Ollama.start();
    await using second = await Ollama.launch({ port: first.port });
    expect((await second.program.exit).code).toBe(1);
    expect(second.program.stderr).toBe(`Error: listen tcp 127.0.0.1:${first.port}: bind: address already in use\n`);
    await using homeless = await Ollama.launch({ env: { HOME: '' } });
    expect((await homeless.program.exit).code).toBe(1);
    expect(homeless.program.stderr).toBe('Error: $HOME is not defined\n');
  });

  it.each(['SIGTERM', 'SIGINT'] as const)('ends with exit code 0 on %s, in the middle of an answer', async (signal) => {
    await using ollama = await Ollama.start({ sim: { tokenMs: 1_000 } });
    await ollama.lines('/api/pull', { model: 'llama3' });
    const asked = ollama.post('/api/generate', { model: 'llama3', prompt: 'x' });
    const cut = expect(asked).rejects.toThrow();
    await expect.poll(() => ollama.get('/sim/state')).toMatchObject({ active: 1 });
    ollama.program.child.kill(signal);
    expect(await ollama.program.exit).toEqual({ code: 0, signal: null });
    await cut;
  });

  it('makes a key at its first start and keeps it', async () => {
    using home = temporaryFolder();
    const key = join(home.path, '.ollama/id_ed25519');
    await using first = await Ollama.start({ home: home.path });
    expect(first.program.stdout).toContain(`Couldn't find '${key}'. Generating new private key.`);
    const content = readFileSync(key, 'utf8');
    expect(statSync(key).mode & 0o777).toBe(0o600);
    await using second = await Ollama.start({ home: home.path });
    expect(second.program.stdout).toBe('');
    expect(readFileSync(key, 'utf8')).toBe(content);
  });

  it('binds early and answers late', async () => {
    await using ollama = await Ollama.start({ sim: { startMs: 500 } });
    expect(ollama.program.stderr).not.toContain('inference compute');
    expect(await ollama.get('/api/version')).toEqual({ version: '0.32.7' });
    expect(ollama.program.stderr).toContain('inference compute');
  });
});

describe('HTTP', () => {
  it('has the small answers of the real one', async () => {
    await using ollama = await Ollama.start();
    expect(await (await ollama.fetch('/')).text()).toBe('Ollama is running');
    expect(await ollama.get('/api/tags')).toEqual({ models: [] });
    expect(await ollama.get('/api/ps')).toEqual({ models: [] });
    const head = await ollama.fetch('/api/version', { method: 'HEAD' });
    expect([head.status, await head.text()]).toEqual([200, '']);
    const nowhere = await ollama.fetch('/api/nowhere');
    expect([nowhere.status, await nowhere.text()]).toEqual([404, '404 page not found']);
    expect((await ollama.fetch('/api/generate')).status).toBe(405);
    const empty = await ollama.fetch('/api/generate', { method: 'POST' });
    expect([empty.status, await empty.json()]).toEqual([400, { error: 'missing request body' }]);
    const none = await ollama.post('/api/show', {});
    expect([none.status, await none.json()]).toEqual([400, { error: 'model is required' }]);
  });

  it('refuses a foreign host with an empty body', async () => {
    await using ollama = await Ollama.start();
    const ask = (host: string) =>
      new Promise<[number | undefined, string]>((resolve, reject) => {
        get({ port: ollama.port, host: '127.0.0.1', headers: { host } }, (response) => {
          let body = '';
          response.on('data', (chunk) => {
            body += String(chunk);
          });
          response.on('end', () => resolve([response.statusCode, body]));
        }).on('error', reject);
      });
    expect(await ask('evil.example')).toEqual([403, '']);
    for (const host of ['localhost', '192.168.1.5:80', 'box.local', 'a.internal', '[::1]:1'])
      expect((await ask(host))[0], host).toBe(200);
  });
});

describe('models', () => {
  it('are pulled in layers, in the layout of the real one, and told once complete the second time', async () => {
    await using ollama = await Ollama.start({ sim: { layerBytes: 5_000 } });
    const lines = await ollama.lines('/api/pull', { model: 'llama3' });
    expect(lines[0]).toEqual({ status: 'pulling manifest' });
    expect(lines.slice(-3)).toEqual([
      { status: 'verifying sha256 digest' },
      { status: 'writing manifest' },
      { status: 'success' },
    ]);
    const manifest = JSON.parse(
      readFileSync(join(ollama.models, 'manifests/registry.ollama.ai/library/llama3/latest'), 'utf8'),
    );
    for (const { digest, size } of [manifest.config, ...manifest.layers]) {
      const blob = readFileSync(join(ollama.models, 'blobs', digest.replace(':', '-')));
      expect([blob.length, `sha256:${createHash('sha256').update(blob).digest('hex')}`]).toEqual([size, digest]);
    }
    const [{ digest }] = manifest.layers;
    const again = await ollama.lines('/api/pull', { model: 'llama3' });
    expect(again.filter((line) => line.digest === digest)).toEqual([
      { status: `pulling ${digest.slice(7, 19)}`, digest, total: 5_000, completed: 5_000 },
    ]);
    expect(await (await ollama.post('/api/pull', { model: 'llama3', stream: false })).json()).toEqual({
      status: 'success',
    });
  });

  it('that are unknown fail with status 200 and a line that says so', async () => {
    await using ollama = await Ollama.start({ sim: { unknown: ['typo'] } });
    const answer = await ollama.post('/api/pull', { model: 'typo' });
    expect(answer.status).toBe(200);
    expect(await answer.text()).toBe(
      '{"status":"pulling manifest"}\n{"error":"pull model manifest: file does not exist"}\n',
    );
  });

  it('that were half pulled are gone on with after a restart, unless they are pruned', async () => {
    using home = temporaryFolder();
    const sim = { layerBytes: 1_000_000, pullBytesPerSecond: 1_000_000 };
    const options = (OLLAMA_NOPRUNE: string) => ({ home: home.path, env: { OLLAMA_NOPRUNE } });
    {
      const faults = { breakPull: { atBytes: 400_000 } };
      await using ollama = await Ollama.start({ ...options('1'), sim: { ...sim, faults } });
      const lines = await ollama.lines('/api/pull', { model: 'llama3' });
      expect(lines.at(-1)).toEqual({ error: 'max retries exceeded: unexpected EOF' });
    }
    /** Bytes that were there when the pull began. */
    const begin = async (OLLAMA_NOPRUNE: string) => {
      const faults = { breakPull: { atBytes: 600_000 } };
      await using ollama = await Ollama.start({ ...options(OLLAMA_NOPRUNE), sim: { ...sim, faults } });
      const lines = await ollama.lines('/api/pull', { model: 'llama3' });
      return lines.find(({ completed }) => completed !== undefined).completed;
    };
    expect(await begin('1')).toBeGreaterThanOrEqual(400_000);
    expect(await begin('0')).toBeLessThan(400_000);
  });

  it('are downloaded once for all who ask, and no longer when nobody does', async () => {
    await using ollama = await Ollama.start({ sim: { layerBytes: 200_000, pullBytesPerSecond: 800_000 } });
    const both = await Promise.all([1, 2].map(() => ollama.lines('/api/pull', { model: 'llama3' })));
    for (const lines of both) expect(lines.at(-1)).toEqual({ status: 'success' });
    const controller = new AbortController();
    const other = ollama.fetch('/api/pull', { method: 'POST', body: '{"model":"other"}', signal: controller.signal });
    const partials = () => readdirSync(join(ollama.models, 'blobs')).filter((name) => name.endsWith('-partial'));
    await expect.poll(partials).toHaveLength(1);
    controller.abort();
    await expect(other.then((answer) => answer.text())).rejects.toThrow();
    await expect.poll(() => ollama.get('/sim/state')).toMatchObject({ active: 0 });
    expect(names(await ollama.get('/api/tags'))).toEqual(['llama3:latest']);
  });

  it('are shown, copied, deleted, and made of a file', async () => {
    await using ollama = await Ollama.start();
    await ollama.lines('/api/pull', { model: 'me/llava:7b' });
    expect(await (await ollama.post('/api/show', { model: 'me/llava:7b' })).json()).toMatchObject({
      capabilities: expect.arrayContaining(['vision']),
      details: { format: 'gguf' },
    });
    expect((await ollama.post('/api/copy', { source: 'me/llava:7b', destination: 'mine' })).status).toBe(200);
    const missing = await ollama.post('/api/copy', { source: 'none', destination: 'x' });
    expect([missing.status, await missing.json()]).toEqual([404, { error: 'model "none" not found' }]);
    const remove = (model: string) =>
      ollama.fetch('/api/delete', { method: 'DELETE', body: JSON.stringify({ model }) });
    expect((await remove('me/llava:7b')).status).toBe(200);
    expect((await remove('me/llava:7b')).status).toBe(404);
    expect(names(await ollama.get('/api/tags'))).toEqual(['mine:latest']);

    const content = 'GGUF and so on';
    const digest = `sha256:${createHash('sha256').update(content).digest('hex')}`;
    const blob = (method: string, at = digest) =>
      ollama.fetch(`/api/blobs/${at}`, { method, ...(method === 'POST' ? { body: content } : {}) });
    expect((await blob('HEAD')).status).toBe(404);
    const wrong = await blob('POST', `sha256:${'0'.repeat(64)}`);
    expect([wrong.status, (await wrong.json()) as Json]).toEqual([
      400,
      { error: expect.stringContaining('digest mismatch') },
    ]);
    expect([(await blob('POST')).status, (await blob('POST')).status, (await blob('HEAD')).status]).toEqual([
      201, 200, 200,
    ]);
    const lines = await ollama.lines('/api/create', { model: 'own', files: { 'a.gguf': digest } });
    expect(lines.map(({ status }) => status.replace(/sha256:.*/, ''))).toEqual([
      'parsing GGUF',
      'using existing layer ',
      'creating new layer ',
      'writing manifest',
      'success',
    ]);
    const nothing = await ollama.post('/api/create', { model: 'own' });
    expect([nothing.status, await nothing.json()]).toEqual([400, { error: "neither 'from' or 'files' was specified" }]);
  });
});

describe('answers', () => {
  it('come as lines, the last with its numbers and those that are zero left out', async () => {
    await using ollama = await Ollama.start();
    await ollama.lines('/api/pull', { model: 'llama3' });
    const ask = (more: object) => ({ model: 'llama3', prompt: 'hello there', ...more });
    const response = await ollama.post('/api/generate', ask({}));
    expect(response.headers.get('content-type')).toBe('application/x-ndjson');
    await response.text();
    const lines = await ollama.lines('/api/generate', ask({ options: { num_predict: 3 } }));
    expect(lines).toHaveLength(4);
    expect(lines.at(-1)).toMatchObject({ response: '', done: true, done_reason: 'length', eval_count: 3 });
    // It was loaded before.
    expect(lines.at(-1)).not.toHaveProperty('load_duration');
    const whole: Json = await (await ollama.post('/api/generate', ask({ stream: false }))).json();
    expect(whole).toMatchObject({ done: true, done_reason: 'stop', eval_count: 16 });
    expect(whole.response.split(' ')).toHaveLength(16);
    const chat: Json = await (
      await ollama.post('/api/chat', { model: 'llama3', messages: [{ role: 'user', content: 'x' }], stream: false })
    ).json();
    expect(chat.message).toMatchObject({ role: 'assistant', content: expect.stringMatching(/ /) });
    expect(chat).not.toHaveProperty('response');
  });

  it('of what a model cannot do are refusals', async () => {
    await using ollama = await Ollama.start();
    for (const model of ['llama3', 'nomic-embed-text']) await ollama.lines('/api/pull', { model });
    const refused = async (path: string, body: object) => {
      const answer = await ollama.post(path, body);
      return [answer.status, ((await answer.json()) as Json).error];
    };
    const messages = [{ role: 'user', content: 'x' }];
    expect(await refused('/api/chat', { model: 'nomic-embed-text', messages })).toEqual([
      400,
      '"nomic-embed-text" does not support chat',
    ]);
    expect(await refused('/api/generate', { model: 'llama3', prompt: 'x', think: true })).toEqual([
      400,
      '"llama3" does not support thinking',
    ]);
    expect(await refused('/api/generate', { model: 'none', prompt: 'x' })).toEqual([404, "model 'none' not found"]);
    expect(await refused('/api/embed', { model: 'llama3', input: 5 })).toEqual([400, 'invalid input type']);
  });

  it('load and unload a model when there is nothing to answer', async () => {
    await using ollama = await Ollama.start();
    await ollama.lines('/api/pull', { model: 'llama3' });
    expect(await ollama.lines('/api/generate', { model: 'llama3' })).toMatchObject([
      { done: true, done_reason: 'load' },
    ]);
    expect(names(await ollama.get('/api/ps'))).toEqual(['llama3:latest']);
    for (let i = 0; i < 2; i++)
      expect(await ollama.lines('/api/chat', { model: 'llama3', messages: [], keep_alive: 0 })).toMatchObject([
        { done: true, done_reason: 'unload' },
      ]);
    expect(await ollama.get('/api/ps')).toEqual({ models: [] });
  });
});

describe('memory', () => {
  it('keeps a model as long as it is told, and shows until when', async () => {
    await using ollama = await Ollama.start({ env: { OLLAMA_KEEP_ALIVE: '2h' } });
    await ollama.lines('/api/pull', { model: 'llama3' });
    const loaded = async (keep_alive?: number | string) => {
      await ollama.lines('/api/generate', { model: 'llama3', ...(keep_alive === undefined ? {} : { keep_alive }) });
      const { models } = await ollama.get('/api/ps');
      return models.map(({ expires_at }: Json) => Math.round((Date.parse(expires_at) - Date.now()) / 60_000));
    };
    expect(await loaded()).toEqual([120]);
    expect(await loaded('5m')).toEqual([5]);
    expect((await loaded(-1))[0]).toBeGreaterThan(1e8);
    await loaded('50ms');
    await expect.poll(() => ollama.get('/api/ps')).toEqual({ models: [] });
  });

  it('makes room for another model by the one that would go first', async () => {
    await using ollama = await Ollama.start({ env: { OLLAMA_MAX_LOADED_MODELS: '2' } });
    const load = async (model: string, keep_alive: string) => {
      await ollama.lines('/api/pull', { model });
      await ollama.lines('/api/generate', { model, keep_alive });
    };
    await load('long', '1h');
    await load('short', '1m');
    await load('other', '10m');
    expect(names(await ollama.get('/api/ps'))).toEqual(['long:latest', 'other:latest']);
  });

  it('loads a model anew for other options', async () => {
    await using ollama = await Ollama.start();
    await ollama.lines('/api/pull', { model: 'llama3' });
    for (const num_ctx of [2_048, 2_048, 8_192])
      await ollama.lines('/api/generate', { model: 'llama3', prompt: 'x', options: { num_ctx } });
    expect(await ollama.get('/sim/state')).toMatchObject({ loads: 2 });
    expect((await ollama.get('/api/ps')).models).toMatchObject([{ context_length: 8_192 }]);
  });

  it('is on the GPU unless none is to be seen', async () => {
    for (const [devices, share] of [
      ['GPU-1', 1],
      ['-1', 0],
    ] as const) {
      await using ollama = await Ollama.start({ env: { CUDA_VISIBLE_DEVICES: devices } });
      await ollama.lines('/api/pull', { model: 'llama3' });
      await ollama.lines('/api/generate', { model: 'llama3' });
      const [{ size, size_vram }] = (await ollama.get('/api/ps')).models;
      expect(size_vram).toBe(size * share);
    }
  });

  it('has as many requests wait as it is told, and refuses the next', async () => {
    await using ollama = await Ollama.start({ sim: { tokenMs: 50 }, env: { OLLAMA_MAX_QUEUE: '1' } });
    await ollama.lines('/api/pull', { model: 'llama3' });
    const ask = () => ollama.post('/api/generate', { model: 'llama3', prompt: 'x', options: { num_predict: 4 } });
    const first = await ask();
    const second = ask();
    await expect.poll(async () => (await ask()).status).toBe(503);
    const third = await ask();
    expect([third.status, await third.json()]).toEqual([
      503,
      { error: 'server busy, please try again.  maximum pending requests exceeded' },
    ]);
    await first.text();
    expect((await second).status).toBe(200);
    await (await second).text();
  });

  it('does several requests at once where it may', async () => {
    await using ollama = await Ollama.start({ sim: { tokenMs: 20 }, env: { OLLAMA_NUM_PARALLEL: '2' } });
    await ollama.lines('/api/pull', { model: 'llama3' });
    const both = [1, 2].map(() => ollama.lines('/api/generate', { model: 'llama3', prompt: 'x' }));
    await expect.poll(() => ollama.get('/sim/state')).toMatchObject({ active: 2 });
    await Promise.all(both);
  });
});

describe('faults', () => {
  const put = (ollama: Ollama, faults: object) =>
    ollama.fetch('/sim/faults', { method: 'PUT', body: JSON.stringify(faults) });

  it('can be read, replaced and refused at run time', async () => {
    await using ollama = await Ollama.start({ sim: { faults: { slow: { httpMs: 1 } } } });
    expect(await ollama.get('/sim/faults')).toEqual({ slow: { httpMs: 1 } });
    expect((await put(ollama, { busy: {} })).status).toBe(200);
    const refused = await put(ollama, { bsuy: {} });
    expect([refused.status, await refused.json()]).toEqual([400, { error: 'faults: unknown key bsuy' }]);
    expect((await put(ollama, { dieAtStart: {} })).status).toBe(400);
    expect(await ollama.get('/sim/faults')).toEqual({ busy: {} });
  });

  it('end a stream with a line, and before it with a status', async () => {
    await using ollama = await Ollama.start();
    await ollama.lines('/api/pull', { model: 'llama3' });
    await put(ollama, { raise: { atToken: 2, message: 'broken' } });
    const lines = await ollama.lines('/api/generate', { model: 'llama3', prompt: 'x' });
    expect(lines).toEqual([expect.objectContaining({ done: false }), { error: 'broken' }]);
    await put(ollama, { outOfMemory: { match: 'large' } });
    expect((await ollama.post('/api/generate', { model: 'llama3', prompt: 'small' })).status).toBe(200);
    await ollama.lines('/api/generate', { model: 'llama3', keep_alive: 0 });
    const full = await ollama.post('/api/generate', { model: 'llama3', prompt: 'large' });
    expect([full.status, ((await full.json()) as Json).error]).toEqual([500, expect.stringContaining('out of memory')]);
    await put(ollama, { garbageJson: { paths: ['/api/tags'], times: 1 } });
    await expect(ollama.get('/api/tags')).rejects.toThrow();
    expect(await ollama.get('/api/tags')).toMatchObject({ models: [{}] });
  });

  it('kill the process, so often as it is told', async () => {
    using folder = temporaryFolder();
    const countFile = join(folder.path, 'deaths');
    const dieMidJob = { times: 1, countFile, signal: 'SIGKILL' as const, atToken: 2 };
    const options = { home: folder.path, sim: { faults: { dieMidJob } } };
    await using first = await Ollama.start(options);
    await first.lines('/api/pull', { model: 'llama3' });
    await expect(first.lines('/api/generate', { model: 'llama3', prompt: 'x' })).rejects.toThrow();
    expect(await first.program.exit).toEqual({ code: null, signal: 'SIGKILL' });
    await using second = await Ollama.start(options);
    expect(await second.lines('/api/generate', { model: 'llama3', prompt: 'x' })).toHaveLength(17);
    const dead = { sim: { faults: { dieAtStart: { exitCode: 3, message: 'no CUDA' } } } };
    await using third = await Ollama.launch(dead);
    expect(await third.program.exit).toEqual({ code: 3, signal: null });
    expect(third.program.stderr).toBe('no CUDA\n');
  });

  it('let a request hang until its client goes, and a signal pass by', async () => {
    await using ollama = await Ollama.start({ sim: { faults: { hang: { times: 1 }, ignoreTerm: true } } });
    await ollama.lines('/api/pull', { model: 'llama3' });
    const controller = new AbortController();
    const body = JSON.stringify({ model: 'llama3', prompt: 'x' });
    const hanging = ollama.fetch('/api/generate', { method: 'POST', body, signal: controller.signal });
    await expect.poll(() => ollama.get('/sim/state')).toMatchObject({ active: 1, strikes: { hang: 1 } });
    controller.abort();
    await expect(hanging).rejects.toThrow();
    await expect.poll(() => ollama.get('/sim/state')).toMatchObject({ active: 0 });
    ollama.program.child.kill('SIGTERM');
    expect(await ollama.lines('/api/generate', { model: 'llama3', prompt: 'x' })).toHaveLength(17);
  });

  it('prune what belongs to no model at the start', async () => {
    using home = temporaryFolder();
    const stray = join(home.path, '.ollama/models/blobs', `sha256-${'0'.repeat(64)}`);
    {
      await using ollama = await Ollama.start({ home: home.path });
      await ollama.lines('/api/pull', { model: 'llama3' });
      writeFileSync(stray, '');
    }
    await using ollama = await Ollama.start({ home: home.path });
    expect(existsSync(stray)).toBe(false);
    expect(await ollama.lines('/api/generate', { model: 'llama3', prompt: 'x' })).toHaveLength(17);
  });
});
