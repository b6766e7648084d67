import { findProgram } from '../process/find-program.ts';
import { runCommand } from '../process/run-command.ts';
import { TorchIndexError } from './errors.ts';
import { driverCudaIn } from './torch-finding.ts';

/** Where PyTorch publishes its builds, one folder for each CUDA version, e.g. `cu128` (pytorch.org/get-started). */
const builds = 'https://download.pytorch.org/whl';
/** CUDA versions that there are builds for. A driver runs every one up to its own. */
const published: readonly number[] = [13.0, 12.9, 12.8, 12.6, 12.4, 12.1, 11.8];

export interface TorchIndexOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly signal?: AbortSignal | undefined;
  /** CUDA versions that the wanted release of torch was built for. Default: all that any was. */
  readonly cudaVersions?: readonly number[] | undefined;
}

/**
 * URL of the index whose torch fits the driver: the newest CUDA version that this driver runs, or the build for the CPU.
 * Throws `CORE_TORCH_INDEX` when the driver does not say what it runs.
 */
export async function torchIndexFor(
  mode: 'nvidia' | 'cpu',
  { env, signal, cudaVersions = published }: TorchIndexOptions,
): Promise<string> {
  if (mode === 'cpu') return `${builds}/cpu`;
  const program = await findProgram(['nvidia-smi'], env);
  if (program === undefined) throw new TorchIndexError({ problem: 'nvidia-smi is not in PATH' });
  const { ok, stdout, stderr } = await runCommand(program, [], { env, signal, timeoutMs: 30_000 });
  signal?.throwIfAborted();
  if (!ok) throw new TorchIndexError({ problem: `nvidia-smi failed: ${(stderr || stdout).trim().slice(0, 200)}` });
  const index = torchIndexIn(stdout, cudaVersions);
  if (index !== undefined) return index;
  const versions = cudaVersions.map((each) => each.toFixed(1)).join(', ');
  throw new TorchIndexError({ problem: `nvidia-smi names no CUDA version that runs any of the builds: ${versions}` });
}

export function torchIndexIn(text: string, cudaVersions: readonly number[]): string | undefined {
  const driver = Number(driverCudaIn(text));
  const version = cudaVersions.toSorted((a, b) => b - a).find((each) => each <= driver);
  return version === undefined ? undefined : `${builds}/cu${version.toFixed(1).replace('.', '')}`;
}
