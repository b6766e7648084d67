import { findProgram, runCommand } from '@mgpu/core';
import { TorchIndexError } from '../errors.ts';

/** Where PyTorch publishes its builds, one folder for each CUDA version, e.g. `cu128` (pytorch.org/get-started). */
const builds = 'https://download.pytorch.org/whl';
/** CUDA versions that there are builds for, the newest first. A driver runs every one up to its own. */
const cudaVersions = [13.0, 12.9, 12.8, 12.6, 12.4, 12.1, 11.8];

/**
 * URL of the index whose torch fits the driver: the newest CUDA version that this driver runs, or the build for the CPU.
 * Throws `COMFYUI_TORCH_INDEX` when the driver does not say what it runs.
 */
export async function torchIndexFor(
  mode: 'nvidia' | 'cpu',
  { env, signal }: { env: Readonly<Record<string, string | undefined>>; signal?: AbortSignal | undefined },
): Promise<string> {
  if (mode === 'cpu') return `${builds}/cpu`;
  const program = await findProgram(['nvidia-smi'], env);
  if (program === undefined) throw new TorchIndexError({ problem: 'nvidia-smi is not in PATH' });
  const { ok, stdout, stderr } = await runCommand(program, [], { env, signal, timeoutMs: 30_000 });
  signal?.throwIfAborted();
  if (!ok) throw new TorchIndexError({ problem: `nvidia-smi failed: ${(stderr || stdout).trim().slice(0, 200)}` });
  const index = indexOf(stdout);
  if (index === undefined)
    throw new TorchIndexError({ problem: 'nvidia-smi names no CUDA version that there are builds for' });
  return index;
}

/** From the head of nvidia-smi's table: `CUDA Version: 12.8`; newer ones say `CUDA UMD Version`. */
export function indexOf(text: string): string | undefined {
  const driver = Number(/CUDA (?:UMD )?Version\s*:\s*(\d+\.\d+)/.exec(text)?.[1]);
  const version = cudaVersions.find((each) => each <= driver);
  return version === undefined ? undefined : `${builds}/cu${version.toFixed(1).replace('.', '')}`;
}
