import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { environmentBindings } from '@mgpu/core';
import { temporaryFolder } from '@mgpu/core/testing';
import { describe, expect, test } from 'vitest';
import { foreignVariables, formerVariables, type SilentVariables } from '../src/former-variables.ts';
import { definitions } from '../src/services.ts';
import { loadSettings } from '../src/settings.ts';
import { openBox } from './support.ts';

const page = readFileSync(join(import.meta.dirname, '../../../docs/reference/environment.md'), 'utf8');

/** The items of a section, as one line each. */
function itemsBelow(heading: string): string[] {
  const [, section = ''] = page.split(`## ${heading}\n`);
  const [text = ''] = section.split('\n## ');
  const [, ...items] = `\n${text}`.split('\n- ');
  return items.map((item) => item.replaceAll(/\s+/g, ' ').trim());
}

const itemOf = ({ names, why }: SilentVariables) => `${names.map((name) => `\`${name}\``).join(', ')}: ${why}`;

test.each([
  ['Without a meaning any more', formerVariables],
  ['Left to others', foreignVariables],
])('the reference has all variables that are "%s", and no others', (heading, variables) => {
  expect(itemsBelow(heading)).toEqual(variables.map(itemOf));
});

test('a variable is understood, or ignored, or left to others', () => {
  const understood = environmentBindings(definitions).map(({ name }) => name);
  const silent = [...formerVariables, ...foreignVariables].flatMap(({ names }) => names);
  expect(new Set(silent).size).toBe(silent.length);
  expect(silent.filter((name) => understood.includes(name))).toEqual([]);
});

/** Settings of a machine without a configuration file, or with this one. */
async function settingsOf(env: Record<string, string>, file?: object) {
  using dir = temporaryFolder('environment-');
  if (file !== undefined) writeFileSync(join(dir.path, 'mgpu.config.json'), JSON.stringify(file));
  return await loadSettings({ cwd: dir.path, env, mock: 2 });
}

test('what is ignored is told once with what takes its place; what is understood or empty is not', async () => {
  const { notices } = await settingsOf({
    WORKER_REDIS_API_HOST: 'hub.example',
    WORKER_USE_SSL: 'true',
    LANGFLOW_SECRET_KEY: 'x',
    LANGFLOW_SUPERUSER: 'y',
    WORKER_BASE_PAINTER_PORT: '9000',
    WORKER_BASE_COMFYUI_PORT: '9100',
    OPENAI_API_KEY: 'sk-x',
    DEBUG: '',
    WORKERS: 'comfyui:2',
    WORKER_CONNECTORS: 'simulation,comfyui,painter',
  });
  expect(notices).toEqual([
    'WORKER_REDIS_API_HOST, WORKER_USE_SSL: ignored; there is no hub: workers take jobs from the Redis of `REDIS_URL` (`rediss://user:password@host`)',
    'LANGFLOW_SECRET_KEY, LANGFLOW_SUPERUSER: ignored; Langflow had left the old machine already',
    'WORKER_BASE_PAINTER_PORT: ignored; no service of this machine has such a port',
    'WORKER_CONNECTORS names simulation, painter, for which this machine has no engine; MOCK_GPU=1 simulates engines, which do the jobs of real ones',
    expect.stringMatching(/^the counts in WORKERS say nothing: /),
  ]);
});

describe('the engines that run', () => {
  const runs = async (env: Record<string, string>, services?: object) => {
    const { config } = await settingsOf(env, services && { services });
    const engines = ['comfyui', 'a1111', 'ollama'].filter((kind) => config.services[kind]?.enabled);
    return [...engines, config.services.worker?.connectors];
  };

  test.each([
    [{}, ['comfyui', 'all']],
    [{ WORKER_BASE_A1111_PORT: '3001' }, ['comfyui', 'all']],
    [{ WORKER_CONNECTORS: 'simulation,comfyui' }, ['comfyui', ['comfyui']]],
    [{ WORKER_CONNECTORS: 'simulation,a1111' }, ['comfyui', 'a1111', ['a1111']]],
    [{ WORKER_CONNECTORS: 'comfyui,a1111', ENABLE_A1111: '0' }, ['comfyui', ['comfyui', 'a1111']]],
    [{ WORKERS: 'a1111:2' }, ['a1111', ['a1111']]],
    [{ WORKERS: 'emprops-app:1, ollama:auto' }, ['comfyui', 'a1111', 'ollama', ['comfyui', 'a1111', 'ollama']]],
    [{ WORKERS: 'ollama', ENABLE_COMFYUI: '1' }, ['comfyui', 'ollama', ['ollama']]],
    [{ WORKERS: 'comfyui:1', WORKER_CONNECTORS: 'a1111' }, ['comfyui', ['comfyui']]],
    [{ WORKERS: 'auto' }, ['comfyui', 'all']],
  ])('are those that %o says', async (env, engines) => {
    expect(await runs(env)).toEqual(engines);
  });

  test('are those of the file where it says so', async () => {
    expect(await runs({ WORKERS: 'a1111' }, { a1111: { enabled: false }, comfyui: { enabled: true } })).toEqual([
      'comfyui',
      ['a1111'],
    ]);
  });
});

test.each([
  ['https://github.com/stakeordie/ComfyUI.git', {}, 'forward'],
  ['https://github.com/stakeordie/ComfyUI', { COMFYUI_COMMIT: 'abc' }, 'abc'],
  ['https://example.org/other/ComfyUI.git', {}, 'v0.33.0'],
])('ComfyUI comes from the repository %s with %o', async (url, env, ref) => {
  const { config } = await settingsOf({ COMFY_REPO_URL: url, ...env });
  expect(config.services.comfyui?.setup).toMatchObject({ repository: url, ref });
});

test('variables come from a file that the command line names, those that are set win, and the root is found', async () => {
  await using box = await openBox();
  await box.writeConfig({});
  const file = await box.writeJson(
    'old.env',
    `# old\nWORKSPACE_PATH=${box.root}\n\nTEST_GPUS=2\nexport COMFY_ARGS="--lowvram --fast"\nCOMFYUI_BRANCH=topic#1\n`,
  );
  const shown = await box.mgpu(['--environment', file, 'config', 'show', '--json'], { TEST_GPUS: '3' });
  expect(shown.json<{ config: object }>().data.config).toMatchObject({
    machine: { root: box.root, gpu: { count: 3, mode: 'mock' } },
    services: { comfyui: { args: ['--lowvram', '--fast'], setup: { ref: 'topic#1' } } },
  });
  expect((await box.mgpu(['--environment', file, 'status'])).stderr).toContain(box.root);
  const torn = await box.writeJson('torn.env', 'TEST_GPUS=1\nnonsense\n');
  expect((await box.mgpu(['--environment', torn, 'status'])).stderr).toContain('line 2 is not NAME=value');
  const missing = await box.mgpu(['--environment', `${file}.gone`, 'status']);
  expect(missing).toMatchObject({ code: 2, stderr: expect.stringContaining('old.env.gone') });
});
