import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { leasePorts } from '@mgpu/core';
import type { PythonEnvironment } from '@mgpu/core/python';
import { z } from 'zod';
import { ComfyUIClient } from '../client/comfyui-client.ts';
import { ComfyUIService } from '../comfyui-service.ts';
import { GenerationBrokenError } from '../errors.ts';
import { expectProved } from '../prove-engine.ts';
import { describeFailed, failedImports } from './failed-imports.ts';
import type { Generation, generationFolders } from './generation.ts';

export interface VerifyOptions {
  readonly python: PythonEnvironment;
  readonly expectGpu: boolean;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly startDeadlineMs: number;
  /** Custom nodes that may fail to be imported: they did before. */
  readonly tolerated: readonly string[];
  readonly signal?: AbortSignal | undefined;
  readonly onDetail: (detail: string) => void;
}

const importTorch = `
import json, platform
import torch, torchvision, torchaudio
print(json.dumps({'python': platform.python_version(), 'torch': torch.__version__, 'gpu': torch.cuda.is_available()}))
`;

const importedSchema = z.object({ python: z.string(), torch: z.string(), gpu: z.boolean() });

/**
 * Imports what everything stands on, then starts the engine once on the CPU, beside whatever the GPUs are busy with, and
 * has it make a picture. Throws `COMFYUI_GENERATION_BROKEN` with what did not work.
 */
export async function verifyGeneration(
  folders: ReturnType<typeof generationFolders>,
  options: VerifyOptions,
): Promise<Pick<Generation, 'version' | 'pythonVersion' | 'packages' | 'nodeClasses' | 'brokenNodes'>> {
  const { python, expectGpu, signal, onDetail } = options;
  const broken = (problem: string, cause?: unknown) =>
    new GenerationBrokenError({ dir: folders.dir, problem }, { cause });
  onDetail('importing torch');
  const imported = await python.run(['-c', importTorch]);
  signal?.throwIfAborted();
  if (!imported.ok) throw broken(`torch, torchvision and torchaudio cannot be imported: ${imported.lastLines.at(-1)}`);
  const facts = importedSchema.parse(JSON.parse(imported.stdout.trim().split('\n').at(-1) ?? ''));
  if (expectGpu && !facts.gpu) throw broken(`torch ${facts.torch} finds no GPU: it is not built for this driver`);
  onDetail('starting it once');
  // Where the next one finds the engine of one that was killed, and ends it.
  const root = join(folders.dir, 'verification');
  using ports = await leasePorts(1);
  const engine = new ComfyUIService({
    dir: folders.checkout,
    python: python.python,
    root,
    port: ports.first,
    cpu: true,
    gpu: 0,
    startDeadlineMs: options.startDeadlineMs,
  });
  try {
    await engine.start(signal ? { signal } : {}).catch((error: unknown) => {
      signal?.throwIfAborted();
      throw broken(`it does not start: ${(error as Error).message}`, error);
    });
    await using client = new ComfyUIClient(engine.endpoint);
    const failed = await failedImports(engine.logFile);
    const unexpected = failed.filter(({ name }) => !options.tolerated.includes(name));
    if (unexpected.length > 0) throw broken(`custom nodes cannot be imported: ${describeFailed(unexpected)}`);
    const nodeClasses = await nodeClassesOf(client, { signal });
    await expectProved(client, { signal }).catch((error: unknown) => {
      signal?.throwIfAborted();
      throw broken(`it makes no picture: ${(error as Error).message}`, error);
    });
    const { system } = await client.systemStats({ signal });
    return {
      version: system.comfyui_version ?? 'unknown',
      pythonVersion: facts.python,
      packages: Object.fromEntries([...(await python.installed())].toSorted()),
      nodeClasses,
      brokenNodes: failed.map(({ name }) => name),
    };
  } finally {
    await engine.stop();
    await rm(root, { recursive: true, force: true, maxRetries: 3 });
  }
}

/** Module by class. */
export async function nodeClassesOf(
  client: ComfyUIClient,
  { signal }: { signal?: AbortSignal | undefined },
): Promise<Record<string, string>> {
  const info = await client.objectInfo(undefined, { signal });
  const modules = Object.entries(info).map(([name, entry]) => {
    const { python_module: module } = entry as { python_module?: unknown };
    return [name, typeof module === 'string' ? module : ''] as const;
  });
  return Object.fromEntries(modules.toSorted());
}
