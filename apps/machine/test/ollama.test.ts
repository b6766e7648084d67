import { join } from 'node:path';
import { ControlClient, type MachineStatus, socketPathOf } from '@mgpu/control';
import { layoutOf } from '@mgpu/core';
import { lockPulls } from '@mgpu/ollama';
import { expect, test } from 'vitest';
import { followJob } from '../src/follow-job.ts';
import { ollamaVariables } from '../src/ollama-variables.ts';
import { loadSettings } from '../src/settings.ts';
import { openBox } from './support.ts';

interface Model {
  readonly name: string;
  readonly instance?: string;
}

test('an Ollama comes up with its models, does a job, and its models are seen to by hand', async () => {
  await using box = await openBox((port) => ({
    comfyui: { enabled: false },
    ollama: { enabled: true, listen: { port: port + 25 }, defaultModel: 'llama3' },
  }));
  const up = await box.mgpu(['up', '--mock', '1', '--detach', '--json']);
  expect(up).toMatchObject({ code: 0, stderr: '' });
  const { boot, instances } = up.json<MachineStatus>().data;
  expect(boot.phases.map(({ name }) => name)).toEqual(expect.arrayContaining(['Ollama setup', 'Ollama']));
  expect(instances.find(({ id }) => id === 'ollama')).toMatchObject({ state: 'running', critical: false });
  const models = async (command: string) =>
    (await box.mgpu(['ollama', command, '--json'])).json<readonly Model[]>().data.map(({ name }) => name);
  await expect.poll(() => models('ls')).toEqual(['llama3:latest']);

  await using client = new ControlClient({ socketPath: socketPathOf(layoutOf(box.root)) });
  const input = { chat: { messages: [{ role: 'user', content: 'who are you' }] } };
  const id = await client.submit({ type: 'ollama', input });
  const ended = await followJob(client, id, () => {}, new AbortController().signal);
  expect(ended).toMatchObject({
    state: 'completed',
    result: {
      engine: 'ollama',
      artifacts: [{ name: 'answer.txt', sha256: expect.stringMatching(/^[0-9a-f]{64}$/) }],
      output: { model: 'llama3', text: expect.stringMatching(/ /) },
    },
  });
  expect(await models('ps')).toEqual(['llama3:latest']);

  expect((await box.mgpu(['ollama', 'pull', 'qwen3'])).stdout).toBe('qwen3 is there\n');
  expect((await box.mgpu(['ollama', 'ls'])).stdout).toMatch(/^model +size +changed\nqwen3:latest +262\.3 kB/);
  expect((await box.mgpu(['ollama', 'rm', 'qwen3'])).code).toBe(0);
  expect(await models('ls')).toEqual(['llama3:latest']);
  const missing = await box.mgpu(['ollama', 'rm', 'qwen3']);
  expect(missing).toMatchObject({ code: 1, stderr: expect.stringContaining('OLLAMA_MODEL_MISSING') });
});

test('servers that share their models: a pull by hand takes its turn with theirs', async () => {
  await using box = await openBox((port) => ({
    comfyui: { enabled: false },
    ollama: { enabled: true, perGpu: true, listen: { port: port + 25 }, models: ['llama3'] },
  }));
  const modelsDir = join(layoutOf(box.root).shared, 'ollama');
  const present = async () =>
    (await box.mgpu(['ollama', 'ls', '--json'])).json<readonly Model[]>().data.map(({ name }) => name);
  const somebodyElse = await lockPulls(modelsDir);
  const up = await box.mgpu(['up', '--mock', '2', '--detach']);
  expect(up).toMatchObject({ code: 0, stderr: '' });
  const byHand = ['llama3', 'qwen3'].map((model) => box.start(['ollama', 'pull', model]));
  await Promise.all(byHand.map((each) => each.printed(/another pull into .*shared\/ollama is under way/)));
  expect(await present()).toEqual([]);
  somebodyElse[Symbol.dispose]();
  for (const each of byHand) expect(await each.ended).toMatchObject({ code: 0, stderr: '' });
  expect((await present()).toSorted()).toEqual(['llama3:latest', 'qwen3:latest']);
});

test('without one the command says so', async () => {
  await using box = await openBox(() => ({ comfyui: { enabled: false } }));
  await box.mgpu(['up', '--mock', '1', '--detach']);
  const { code, stderr } = await box.mgpu(['ollama']);
  expect(code).toBe(1);
  expect(stderr).toMatch(/no Ollama runs on this machine.*MACHINE_NO_ENGINE/);
});

test('custom nodes are told where it is, and what was set for one elsewhere is theirs', async () => {
  const seen = async (env: Record<string, string>) => {
    const { config } = await loadSettings({ cwd: '/', env, mock: 1, services: {} });
    return ollamaVariables(config, env);
  };
  const elsewhere = { OLLAMA_HOST: 'gpu-box', OLLAMA_DEFAULT_MODEL: 'llama3' };
  expect(await seen(elsewhere)).toEqual(elsewhere);
  expect(await seen({})).toEqual({});
  const here = { ENABLE_OLLAMA: 'true', OLLAMA_HOST: '0.0.0.0', OLLAMA_PORT: '11500', OLLAMA_DEFAULT_MODEL: 'llama3' };
  expect(await seen(here)).toEqual({
    OLLAMA_HOST: '127.0.0.1',
    OLLAMA_PORT: '11500',
    OLLAMA_DEFAULT_MODEL: 'llama3',
  });
});
