import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { ControlClient, type MachineStatus, socketPathOf } from '@mgpu/control';
import { type BootReport, type JobStatus, layoutOf } from '@mgpu/core';
import { commitFiles } from '@mgpu/core/testing';
import type { ModelInfo } from '@mgpu/models';
import { expect, test } from 'vitest';
import { followJob } from '../src/follow-job.ts';
import { openBox } from './support.ts';

/** What lay in `/workspace/shared/comfy_dir_config.yaml` of the base machine. */
const folders = [
  'animatediff_models checkpoints clip clip_vision configs controlnet diffusers diffusion_models embeddings gligen',
  'hypernetworks ipadapter loras photomaker sams style_models ultralytics unet upscale_models vae vae_approx',
].flatMap((line) => line.split(' '));
const folderFile = `comfyui:
  base_path: /workspace/shared
  is_default: true
  custom_nodes: custom_nodes
  input: input
${folders.map((name) => `  ${name}: models/${name}`).join('\n')}
  user: user
  workflows: workflows
  text_encoders: text_encoders
`;

const throughEcho = {
  '1': { class_type: 'EmptyImage', inputs: { width: 64, height: 48, batch_size: 1, color: 0x112233 } },
  '2': { class_type: 'EchoPicture', inputs: { image: ['1', 0] } },
  '3': { class_type: 'SaveImage', inputs: { images: ['2', 0], filename_prefix: 'echoed' } },
};

/** What grows with every start, or is written anew with every start. */
const ofOneStart = /(^|\/)logs(\/|$)|^run(\/|$)|^state\/(boots|redis|node-cache)(\/|$)/;
/** What is the machine's to bring, and no start's to touch again. */
const brought = /^(shared|engines|artifacts)(\/|$)/;

/** Every file, folder and link below that is to outlive a start, with what a change would change of it. */
function listing(root: string): string[] {
  return readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((path) => !ofOneStart.test(path))
    .toSorted()
    .map((path) => {
      const facts = lstatSync(join(root, path));
      return [
        path,
        facts.mode.toString(8),
        facts.isFile() ? `${facts.size} bytes` : '',
        facts.isSymbolicLink() ? `→ ${readlinkSync(join(root, path))}` : '',
        brought.test(path) ? facts.mtimeMs : '',
      ].join(' ');
    });
}

/** In an entry of the list of nodes: a variable of the machine. */
const variable = (name: string) => `\${${name}}`;

test("a machine comes up from a base machine's environment and files alone, and a second start changes nothing", {
  timeout: 120_000,
}, async () => {
  await using box = await openBox();
  rmSync(join(box.dir, 'mgpu.config.yaml'));
  const { port, root } = box;
  const ports = {
    comfyui: port,
    a1111: port + 4,
    nginx: port + 8,
    http: port + 18,
    before: { comfyui: port + 9, a1111: port + 13 },
  };
  const environment = await box.writeJson(
    '.env.local',
    `# as on the base machine
ROOT=${root}
NUM_GPUS=4
MOCK_GPU=1
WORKER_BASE_COMFYUI_PORT=${ports.comfyui}
WORKER_BASE_A1111_PORT=${ports.a1111}
WORKER_CONNECTORS=simulation,comfyui,a1111
WORKER_REDIS_API_HOST=hub.example
WORKER_WEBSOCKET_AUTH_TOKEN=ws-secret
WORKER_SIMULATION_STEPS=5
WORKER_MAX_RESTART_ATTEMPTS=3
SERVER_CREDS=proxy secret
HF_TOKEN=hf_secret
OPENAI_API_KEY=sk-secret
CLOUD_PROVIDER=none
SKIP_STORAGE_SYNC=true
COMFY_ARGS=--lowvram --disable-xformers
A1111_ARGS=--no-half-vae
LANGFLOW_AUTO_LOGIN=true
# what it had built in
MACHINE_HEALTH_PORT=${ports.http}
NGINX_PORT=${ports.nginx}
COMFYUI_EXPOSED_HOST_PORT_BASE=${ports.before.comfyui}
A1111_EXPOSED_HOST_PORT_BASE=${ports.before.a1111}
`,
  );
  const mgpu = (...args: string[]) => box.mgpu(['--environment', environment, ...args]);
  await using _ = { [Symbol.asyncDispose]: async () => void (await mgpu('down', '--force')) };

  const repository = (name: string) => join(box.dir, 'repositories', name);
  await commitFiles(repository('echo'), { 'simulator.json': '{"nodes":["EchoPicture"]}', '__init__.py': '' });
  const pinned = await commitFiles(repository('pinned'), { '__init__.py': 'first' });
  await commitFiles(repository('pinned'), { '__init__.py': 'second' });
  const shared = join(root, 'shared');
  const put = (path: string, text: string) => {
    mkdirSync(join(shared, path, '..'), { recursive: true });
    writeFileSync(join(shared, path), text);
  };
  const nodes = {
    custom_nodes: [
      {
        name: 'echo',
        url: `git clone file://${repository('echo')}`,
        branch: 'main',
        requirements: true,
        env: Object.fromEntries(['HF_TOKEN', 'OPENAI_API_KEY', 'CLOUD_PROVIDER'].map((name) => [name, variable(name)])),
      },
      { name: 'pinned', url: `file://${repository('pinned')}`, commit: pinned, recursive: true, requirements: false },
    ],
  };
  const links = {
    symlinks: [
      { source: 'Stable-diffusion/x.safetensors', target: 'checkpoints/x.safetensors', description: 'SD 1.5' },
      { source: 'Stable-diffusion/gone.ckpt', target: 'checkpoints/gone.ckpt' },
    ],
    no_index: [{ path: '/workspace/shared/models/checkpoints/x.safetensors', reason: 'a link' }],
  };
  put('config_nodes.json', JSON.stringify(nodes));
  put('static-models.json', JSON.stringify(links));
  put('comfy_dir_config.yaml', folderFile);
  put('../shared_custom_nodes/brought/__init__.py', 'by the image');
  put('sd_models/Stable-diffusion/x.safetensors', 'x');

  const up = await mgpu('up', '--detach');
  expect(up.code).toBe(0);
  expect(up.stderr).toMatch(/WORKER_REDIS_API_HOST, WORKER_WEBSOCKET_AUTH_TOKEN: ignored/);
  expect(up.stderr).toMatch(/WORKER_SIMULATION_STEPS: ignored/);
  expect(up.stderr).toMatch(/LANGFLOW_AUTO_LOGIN: ignored/);
  expect(up.stderr).toMatch(/WORKER_CONNECTORS names simulation/);

  const { gpus, instances } = (await mgpu('status', '--json')).json<MachineStatus>().data;
  expect(gpus).toHaveLength(4);
  const boot = (await mgpu('phases', '--json')).json<BootReport>();
  expect(boot.kind).toBe('Boot');
  expect(boot.data.phases.filter(({ outcome }) => outcome !== 'ok').map(({ name }) => name)).toEqual([]);
  const phases = boot.data.phases.map(({ name }) => name);
  expect(phases.length).toBeGreaterThanOrEqual(14);
  expect(phases).toEqual(
    expect.arrayContaining([
      'shared directories',
      'pre-installed nodes',
      'custom nodes',
      'model sync',
      'static model links',
      'http',
      'nginx',
      'ComfyUI',
      'A1111',
      'workers',
      'verification',
    ]),
  );
  const of = (kind: string) => instances.filter((each) => each.kind === kind);
  const four = [0, 1, 2, 3];
  for (const kind of ['comfyui', 'a1111'] as const) {
    expect(of(kind).map(({ id, port: at, health }) => [id, at, health])).toEqual(
      four.map((n) => [`${kind}_gpu${n}`, ports[kind] + n, 'ready']),
    );
  }
  expect(of('worker').map(({ id, health }) => [id, health])).toEqual(four.map((n) => [`worker_gpu${n}`, 'ready']));
  expect(of('ollama')).toEqual([]);
  const argumentsOf = (pid = 0) => readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
  expect(argumentsOf(of('comfyui')[0]?.pid)).toContain('--disable-xformers');
  expect(argumentsOf(of('a1111')[3]?.pid)).toContain('--no-half-vae');
  for (const n of four) {
    const settings = JSON.parse(readFileSync(join(root, `run/worker_gpu${n}.settings.json`), 'utf8'));
    expect(settings.connectors.map(({ endpoint }: { endpoint: { instance: string } }) => endpoint.instance)).toEqual([
      `comfyui_gpu${n}`,
      `a1111_gpu${n}`,
    ]);
  }

  // Through the proxy, by the password of the old machine.
  const proxied = new URL(`http://127.0.0.1:${ports.before.comfyui + 3}/object_info`);
  expect((await fetch(proxied)).status).toBe(401);
  const authorization = `Basic ${Buffer.from('sd:proxy secret').toString('base64')}`;
  expect(await (await fetch(proxied, { headers: { authorization } })).json()).toHaveProperty('EchoPicture');

  expect(readFileSync(join(shared, 'custom_nodes/brought/__init__.py'), 'utf8')).toBe('by the image');
  const packs = join(root, 'engines/comfyui-simulated/custom_nodes');
  expect(readFileSync(join(packs, 'echo/.env'), 'utf8')).toBe(
    'HF_TOKEN=hf_secret\nOPENAI_API_KEY=sk-secret\nCLOUD_PROVIDER=none\n',
  );
  expect(statSync(join(packs, 'echo/.env')).mode & 0o777).toBe(0o600);
  expect(readFileSync(join(packs, 'pinned/__init__.py'), 'utf8')).toBe('first');
  expect(readlinkSync(join(shared, 'models/checkpoints/x.safetensors'))).toBe(
    join(shared, 'sd_models/Stable-diffusion/x.safetensors'),
  );
  const models = (await mgpu('models', 'ls', '--json')).json<ModelInfo[]>().data;
  expect(models.find(({ path }) => path === 'models/checkpoints/x.safetensors')).toMatchObject({ isIndexed: false });
  for (const name of folders) expect(statSync(join(shared, 'models', name)).isDirectory(), name).toBe(true);
  for (const name of ['workflows', 'input', 'user', 'text_encoders', 'custom_nodes'])
    expect(statSync(join(shared, name)).isDirectory(), name).toBe(true);
  expect(readFileSync(join(root, 'comfyui_gpu2/extra_model_paths.yaml'), 'utf8')).toContain('models/ipadapter/');

  const workflow = await box.writeJson('echo.json', throughEcho);
  const ran = (await mgpu('run', workflow, '--json')).json<JobStatus>().data;
  expect(ran.result?.artifacts).toMatchObject([{ mediaType: 'image/png' }]);
  await using client = new ControlClient({ socketPath: socketPathOf(layoutOf(root)) });
  const txt2img = { prompt: 'a machine', steps: 1, width: 64, height: 64 };
  const id = await client.submit({ type: 'a1111', input: { txt2img } });
  const painted = await followJob(client, id, () => {}, new AbortController().signal);
  expect(painted.result?.artifacts).toMatchObject([{ mediaType: 'image/png' }]);

  const inputs = () =>
    ['config_nodes.json', 'static-models.json', 'comfy_dir_config.yaml'].map((name) =>
      readFileSync(join(shared, name), 'utf8'),
    );
  expect(inputs()).toEqual([JSON.stringify(nodes), JSON.stringify(links), folderFile]);
  expect((await mgpu('down')).code).toBe(0);
  const first = listing(root);
  const again = await mgpu('up', '--detach');
  expect(again).toMatchObject({ code: 0, stderr: up.stderr });
  expect((await mgpu('status', '--json')).json<MachineStatus>().data.instances.map(({ id: each }) => each)).toEqual(
    instances.map(({ id: each }) => each),
  );
  expect((await mgpu('down')).code).toBe(0);
  expect(listing(root)).toEqual(first);
});
