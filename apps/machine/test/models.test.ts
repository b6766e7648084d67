import { createHash, randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { leasePorts } from '@mgpu/core/testing';
import type { EvictionPlan, ModelInfo, PullReport, VerifyResult } from '@mgpu/models';
import { expect, onTestFinished, test } from 'vitest';
import { openBox } from './support.ts';

const content = randomBytes(1_500_000);
const sha256 = createHash('sha256').update(content).digest('hex');

/** Has everything but what is called `gone`, for whoever has the token. */
async function startHub() {
  const lease = await leasePorts(1);
  const server = createServer(({ url = '', headers }, response) => {
    if (headers.authorization !== 'Bearer hf_secret') return response.writeHead(401).end();
    if (url.includes('gone')) return response.writeHead(404).end();
    return response.writeHead(200, { 'content-length': content.length, etag: '"one"' }).end(content);
  });
  await new Promise<void>((resolve) => server.listen(lease.first, '127.0.0.1', resolve));
  onTestFinished(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    lease[Symbol.dispose]();
  });
  return { HF_ENDPOINT: `http://127.0.0.1:${lease.first}`, HF_TOKEN: 'hf_secret' };
}

test('models are pulled, listed, verified, counted and evicted by commands, in 80 columns', async () => {
  const env = await startHub();
  await using box = await openBox(() => ({ models: { reserveGiB: 0 } }));
  const models = (...args: string[]) => box.mgpu(['models', ...args], env);
  const shared = join(box.root, 'shared');
  const list = [
    { url: 'hf://some/model/one.safetensors', path: 'checkpoints/', sha256, aliases: ['ONE.safetensors'] },
    { url: 'hf://some/model/gone.safetensors', path: 'loras/' },
  ];
  mkdirSync(shared, { recursive: true });
  writeFileSync(join(shared, 'models.yaml'), JSON.stringify({ models: list }));

  expect((await models()).stdout).toMatch(/✖ +missing +checkpoints\/one\.safetensors/);
  const looked = await models('sync', '--check-only');
  expect(looked.stdout).toMatch(/2 models: 2 to pull\nbucket: no bucket is named/);
  expect(looked.code).toBe(0);
  const pulled = await models('pull');
  expect(pulled.code).toBe(4);
  expect(pulled.stdout).toMatch(/✔ +1\.5 MB .* checkpoints\/one\.safetensors/);
  expect(pulled.stdout).toMatch(/✖ loras\/gone\.safetensors:\s+http:\S+gone\.safetensors is not there/);
  expect(readlinkSync(join(shared, 'models/checkpoints/ONE.safetensors'))).toBe(
    join(shared, 'models/checkpoints/one.safetensors'),
  );
  const gone = await models('pull', 'gone.safetensors', '--json');
  expect(gone.code).toBe(1);
  expect(gone.json<PullReport>().data.models).toMatchObject([
    { status: 'failed', error: { code: 'MODELS_NOT_FOUND', message: expect.stringContaining('404') } },
  ]);
  const one = await models('pull', 'hf://some/model/two.safetensors', '--to', 'loras/two.safetensors', '--json');
  expect(one.code).toBe(0);
  expect(one.json<PullReport>().data.models).toMatchObject([{ path: 'models/loras/two.safetensors', sha256 }]);
  expect(JSON.stringify(one)).not.toContain('hf_secret');
  expect((await models('pull', 'nowhere.pt')).stderr).toContain('MODELS_UNKNOWN');
  expect((await models('pull', 'nowhere.pt', '--to', 'x')).code).toBe(2);

  const du = await models('du');
  expect(du.stdout).toMatch(/1\.5 MB +1 +checkpoints\n/);
  expect(du.stdout).toMatch(/3\.0 MB in 2 files; .* are free/);
  expect((await models('verify')).code).toBe(4); // one is missing
  writeFileSync(join(shared, 'models/loras/two.safetensors'), 'damaged');
  const verified = await models('verify', 'two.safetensors', '--json');
  expect(verified.code).toBe(1);
  expect(verified.json<VerifyResult[]>().data).toMatchObject([
    { status: 'damaged', error: { code: 'MODELS_DAMAGED' } },
  ]);
  expect(
    (await models('pull', 'hf://some/model/two.safetensors', '--to', 'loras/two.safetensors', '--force')).code,
  ).toBe(0);

  expect((await models('evict')).code).toBe(2);
  expect((await models('evict', '--free', 'much')).code).toBe(2);
  const dry = await models('evict', '--free', '1MB', '--dry-run');
  expect(dry.stdout).toMatch(/would go\n- +1\.5 MB +[\d-]+ +loras\/two\.safetensors\n1\.5 MB would be freed/);
  expect(existsSync(join(shared, 'models/loras/two.safetensors'))).toBe(true);
  const evicted = await models('evict', '--free', '1GB', '--json');
  expect(evicted.code).toBe(4);
  expect(evicted.json<EvictionPlan>().data.models).toMatchObject([{ path: 'models/loras/two.safetensors' }]);
  const left = (await models('ls', '--json')).json<ModelInfo[]>().data.map(({ path, state }) => `${path} ${state}`);
  expect(left).toEqual([
    'models/checkpoints/ONE.safetensors link',
    'models/checkpoints/one.safetensors present',
    'models/loras/gone.safetensors missing',
  ]);
  for (const args of [['ls'], ['du'], ['verify'], ['sync'], ['pull'], ['--help'], ['pull', '--help']]) {
    const { stdout, stderr } = await models(...args);
    const widest = Math.max(...`${stdout}${stderr}`.split('\n').map((line) => line.length));
    expect(widest, args.join(' ')).toBeLessThanOrEqual(80);
  }
});

test('a boot from the variables and files of a predecessor brings models and links, and the second changes nothing', async () => {
  const env = await startHub();
  await using box = await openBox(() => ({ models: { reserveGiB: 0 } }));
  const shared = join(box.root, 'shared');
  const put = (path: string, text: string) => {
    mkdirSync(join(shared, path, '..'), { recursive: true });
    writeFileSync(join(shared, path), text);
  };
  put(
    'comfy_dir_config.yaml',
    'comfyui:\n  base_path: /workspace/shared\n  is_default: true\n  ipadapter: models/ipadapter\n',
  );
  put('models.json', JSON.stringify({ models: [{ downloadUrl: 'hf://some/model/one.pt', saveTo: 'models/loras/' }] }));
  put('sd_models/Stable-diffusion/x.ckpt', 'x');
  put(
    'static-models.json',
    JSON.stringify({ symlinks: [{ source: 'Stable-diffusion/x.ckpt', target: 'checkpoints/x.ckpt' }] }),
  );
  const facts = () => [
    readFileSync(join(shared, 'models/loras/one.pt')).equals(content),
    readlinkSync(join(shared, 'models/checkpoints/x.ckpt')),
    readFileSync(join(box.root, 'comfyui_gpu0/extra_model_paths.yaml'), 'utf8'),
    readFileSync(join(box.root, 'state/models.json'), 'utf8'),
  ];
  const variables = { ...env, TEST_GPUS: '1', SKIP_MODEL_DOWNLOAD: 'false' };
  const up = await box.mgpu(['up', '--detach'], variables);
  expect(up.code).toBe(0);
  expect(up.stdout).toMatch(/✔ model sync/);
  expect(up.stdout).toMatch(/✔ static model links/);
  const first = facts();
  expect(first[0]).toBe(true);
  expect(first[1]).toBe(join(shared, 'sd_models/Stable-diffusion/x.ckpt'));
  expect(first[2]).toContain('ipadapter: models/ipadapter/');
  expect(readFileSync(join(shared, 'extra_model_paths.yaml'), 'utf8')).toBe(first[2]);
  await box.mgpu(['down']);
  expect((await box.mgpu(['up', '--detach'], variables)).code).toBe(0);
  expect(facts()).toEqual(first);
});
