import { chmodSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findGpus, type GpuPreference, gpuEnvironment, mockGpus, type ServiceContext, silentLogger } from '@mgpu/core';
import { fakeClock } from '@mgpu/core/testing';
import { describe, expect, test } from 'vitest';
import { eventually, failureOf, fixture, Program, program, readPid, temporaryFolder, whenUp } from './support.ts';

const scripts = { hang: 'hangs.sh', any: 'nvidia-smi.mjs' };
for (const name of Object.values(scripts)) chmodSync(join(import.meta.dirname, 'fixtures', name), 0o755);

/** Whether anything still runs whose command line names this program. */
const isRunning = (program: string) =>
  readdirSync('/proc').some((name) => {
    try {
      return readFileSync(`/proc/${name}/cmdline`, 'utf8').includes(program);
    } catch {
      return false; // no process, or gone meanwhile
    }
  });

/** A stand-in for nvidia-smi that behaves as its name says. */
function nvidiaSmi(behaviour: string): string {
  const path = join(temporaryFolder(), behaviour);
  symlinkSync(join(import.meta.dirname, 'fixtures', behaviour === 'hang' ? scripts.hang : scripts.any), path);
  return path;
}

const auto: GpuPreference = { count: 'auto', mode: 'auto' };

const inventory = (behaviour: string, { count = 'auto', mode = 'auto' }: Partial<GpuPreference> = {}) =>
  findGpus({ count, mode }, { program: nvidiaSmi(behaviour) });

describe('the GPUs of a machine', () => {
  test('are counted in the order of their PCI bus, not as they are listed', async () => {
    const { gpus, problem } = await inventory('two');
    expect(problem).toBeUndefined();
    expect(gpus).toEqual([
      {
        index: 0,
        mode: 'nvidia',
        uuid: 'GPU-aaaa',
        name: 'NVIDIA GeForce RTX 4090',
        memoryMiB: 24_576,
        driver: '550.54.15',
        pciBusId: '00000000:01:00.0',
      },
      expect.objectContaining({ index: 1, uuid: 'GPU-bbbb', pciBusId: '00000000:0B:00.0' }),
    ]);
  });

  test('may have no memory of their own', async () => {
    expect((await inventory('shared')).gpus).toMatchObject([{ uuid: 'GPU-aaaa', memoryMiB: 0 }]);
  });

  test('can be fewer than there are', async () => {
    expect((await inventory('two', { count: 1 })).gpus).toMatchObject([{ uuid: 'GPU-aaaa' }]);
  });

  test('cannot be more than there are', async () => {
    expect(await failureOf(inventory('two', { count: 4 }))).toMatchObject({
      code: 'CORE_GPU_QUERY',
      message: expect.stringContaining('lists 2 GPUs where the configuration wants 4'),
    });
  });

  test.each(['none', 'missing'])('are the CPU when nvidia-smi finds %s', async (which) => {
    const program = which === 'none' ? nvidiaSmi('none') : '/nowhere/nvidia-smi';
    const found = await findGpus(auto, { program });
    expect(found).toEqual({ gpus: [{ index: 0, mode: 'cpu', name: 'CPU', memoryMiB: 0 }] });
    const error = await failureOf(findGpus({ count: 'auto', mode: 'nvidia' }, { program }));
    expect(error.message).toContain(which === 'none' ? 'lists no GPU' : 'is not installed');
  });

  test('are as many stand-ins as wanted without anybody being asked', async () => {
    expect((await inventory('hang', { mode: 'cpu', count: 2 })).gpus).toMatchObject([
      { index: 0, mode: 'cpu' },
      { index: 1, mode: 'cpu' },
    ]);
    expect((await inventory('hang', { mode: 'mock', count: 2 })).gpus).toEqual(mockGpus(2));
    expect((await inventory('hang', { mode: 'mock' })).gpus).toHaveLength(1);
  });

  test.each([
    ['garbage', 'printed a line that describes no working GPU: Segmentation fault (core dumped)'],
    ['cut', 'printed a line that describes no working GPU'],
    ['twice', 'named the same UUID twice'],
    ['bus', 'named the same PCI bus id twice'],
    ['lost', 'failed with exit code 15: Unable to determine the device handle for GPU0000:01:00.0: GPU is lost.'],
    ['mute', 'failed with exit code 255'],
  ])('are not believed when nvidia-smi says %s', async (behaviour, text) => {
    const { gpus, problem } = await inventory(behaviour);
    expect(gpus).toMatchObject([{ mode: 'cpu' }]);
    expect(problem).toMatchObject({ code: 'CORE_GPU_QUERY', retryable: true });
    expect(problem?.message).toContain(text);
    expect(await failureOf(inventory(behaviour, { mode: 'nvidia' }))).toMatchObject({ code: 'CORE_GPU_QUERY' });
  });

  test.each<[string, number[], string]>([
    ['sick', [0, 2], 'printed a line that describes no working GPU: 1, GPU-bbbb, '],
    ['reset', [0], 'printed a line that describes no working GPU: [GPU requires reset]'],
    ['warning', [0], 'failed with exit code 14: WARNING: infoROM is corrupted at gpu 0000:01:00.0'],
    ['half', [0], 'printed a line that describes no working GPU: 1, GPU-bbbb, NVIDIA Ge'],
  ])('that can be believed are used, with their numbers, when nvidia-smi says %s', async (behaviour, used, text) => {
    for (const wanted of [{}, { mode: 'nvidia' }, { count: 3 }] as const) {
      const { gpus, problem } = await inventory(behaviour, wanted);
      expect(gpus.map(({ index, mode }) => `${mode} ${index}`)).toEqual(used.map((index) => `nvidia ${index}`));
      expect(problem?.message).toContain(text);
    }
  });

  test('are asked for one by one where one that is lost keeps them from being listed', async () => {
    const driverDir = temporaryFolder();
    for (const busId of ['0000:01:00.0', '0000:02:00.0', '0000:0B:00.0', '0000:0C:00.0'])
      mkdirSync(join(driverDir, busId));
    for (const mode of ['auto', 'nvidia'] as const) {
      const { gpus, problem } = await findGpus({ count: 'auto', mode }, { program: nvidiaSmi('one-lost'), driverDir });
      expect(gpus).toMatchObject([
        { index: 0, mode: 'nvidia', uuid: 'GPU-aaaa' },
        { index: 2, mode: 'nvidia', uuid: 'GPU-cccc' },
      ]);
      expect(problem?.message).toContain(
        'failed with exit code 15: Unable to determine the device handle for GPU0000:0B',
      );
    }
  });

  test.each(['none', 'lost'])('are one CPU, however many were wanted, when nvidia-smi says %s', async (behaviour) => {
    const { gpus, problem } = await inventory(behaviour, { count: 8 });
    expect(gpus).toMatchObject([{ index: 0, mode: 'cpu' }]);
    expect(problem).toMatchObject({ code: 'CORE_GPU_QUERY' });
  });

  test('are looked for until the signal fires', async () => {
    const program = nvidiaSmi('hang');
    const controller = new AbortController();
    const looking = failureOf(findGpus(auto, { program, signal: controller.signal }));
    await readPid(`${program}.pid`);
    controller.abort(new TypeError('enough'));
    expect(await looking).toMatchObject({ message: 'enough' });
    await eventually(() => !isRunning(program), 'its end');
  });

  test('may take long, which the log tells meanwhile', async () => {
    const program = nvidiaSmi('hang');
    const clock = fakeClock();
    const warned = Promise.withResolvers<string>();
    const log = { ...silentLogger, warn: (text: string) => warned.resolve(text) };
    const controller = new AbortController();
    const looking = findGpus(auto, { program, clock, log, signal: controller.signal });
    await clock.advance(5_000);
    expect(await warned.promise).toContain('is slow to list the GPUs: waiting up to 30 s');
    controller.abort();
    await failureOf(looking);
  });

  test('do not keep the machine waiting when nvidia-smi hangs, deaf to SIGTERM', async () => {
    const program = nvidiaSmi('hang');
    const { gpus, problem } = await findGpus(auto, { program, timeoutMs: 500 });
    expect(gpus).toMatchObject([{ mode: 'cpu' }]);
    expect(problem?.message).toContain('did not answer within 500 ms and was killed');
    await eventually(() => !isRunning(program), 'its end');
  });

  test('are not guessed when nvidia-smi may not be run', async () => {
    const program = join(temporaryFolder(), 'nvidia-smi');
    symlinkSync('/etc/passwd', program);
    const { problem } = await findGpus(auto, { program });
    expect(problem?.message).toContain('could not be started (EACCES)');
    const broken = join(temporaryFolder(), 'nvidia-smi');
    writeFileSync(broken, '#!/nowhere/python\n', { mode: 0o755 });
    const found = await findGpus(auto, { program: broken });
    expect(found.problem?.message).toContain('could not be started (ENOENT)');
  });
});

describe('the environment of a GPU', () => {
  test('names a real one by its UUID, and lets programs count in bus order', () => {
    const gpu = { index: 3, mode: 'nvidia', uuid: 'GPU-5f3c', name: 'x', memoryMiB: 1 } as const;
    expect(gpuEnvironment(gpu)).toEqual({ CUDA_DEVICE_ORDER: 'PCI_BUS_ID', CUDA_VISIBLE_DEVICES: 'GPU-5f3c' });
  });

  test.each(['cpu', 'mock'] as const)('shows nothing in mode %s', (mode) => {
    expect(gpuEnvironment({ index: 0, mode, name: 'x', memoryMiB: 1 }).CUDA_VISIBLE_DEVICES).toBe('');
  });

  test('of stand-ins is the same at every boot', () => {
    expect(mockGpus(2)).toEqual(mockGpus(2));
    expect(mockGpus(2).map(({ uuid }) => uuid)).toEqual([
      'GPU-00000000-0000-4000-8000-000000000000',
      'GPU-00000000-0000-4000-8000-000000000001',
    ]);
  });
});

describe('a service on a GPU that is named by its index', () => {
  /** Its context's PATH has this nvidia-smi and nothing else. */
  function contextWith(behaviour?: string): ServiceContext {
    const bin = temporaryFolder();
    if (behaviour !== undefined) {
      const script = `#!/bin/sh\nexec '${process.execPath}' '${nvidiaSmi(behaviour)}' "$@"\n`;
      writeFileSync(join(bin, 'nvidia-smi'), script, { mode: 0o755 });
    }
    return { ...program({ spec: fixture('stays.mjs') }).context, env: { PATH: bin } };
  }

  test('runs on the CPU where there is no GPU', async () => {
    const context = { ...contextWith(), gpu: 0 };
    await using service = new Program({ spec: fixture('stays.mjs'), probes: whenUp }, context);
    await service.start();
    expect(service.gpu).toMatchObject({ mode: 'cpu' });
    expect(service.status).toMatchObject({ gpu: 0, state: 'running' });
    expect(readFileSync(`/proc/${service.pid}/environ`, 'utf8')).toContain('CUDA_VISIBLE_DEVICES=\0');
  });

  test('runs on that one', async () => {
    const context = { ...contextWith('two'), gpu: 1 };
    await using service = new Program({ spec: fixture('stays.mjs'), probes: whenUp }, context);
    await service.start();
    expect(readFileSync(`/proc/${service.pid}/environ`, 'utf8')).toContain('CUDA_VISIBLE_DEVICES=GPU-bbbb\0');
  });

  test.each([
    [undefined, 'no such GPU: 7; this machine has one GPU: 0'],
    ['sick', 'no such GPU: 7; this machine has 2 GPUs: 0, 2; '],
  ])('does not start where there is no such GPU (nvidia-smi: %s)', async (behaviour, text) => {
    const service = new Program({ spec: fixture('stays.mjs') }, { ...contextWith(behaviour), gpu: 7 });
    const error = await failureOf(service.start());
    expect(error).toMatchObject({ code: 'CORE_GPU_OUT_OF_RANGE', message: expect.stringContaining(text) });
  });
});
