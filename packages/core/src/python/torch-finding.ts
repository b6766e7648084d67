import type { Finding } from '../definition/define-service.ts';
import { findProgram } from '../process/find-program.ts';
import { runCommand } from '../process/run-command.ts';

const askMs = 10_000;

/** The CUDA version that the driver runs, from the head of nvidia-smi's table; newer ones say `CUDA UMD Version`. */
export const driverCudaIn = (text: string): string | undefined =>
  /CUDA (?:UMD )?Version\s*:\s*(\d+\.\d+)/.exec(text)?.[1];

/** What the driver of this machine runs; undefined where there is none, or it does not say. */
export async function driverCuda(env: Readonly<Record<string, string | undefined>>): Promise<string | undefined> {
  const program = await findProgram(['nvidia-smi'], env);
  if (program === undefined) return undefined;
  const { ok, stdout } = await runCommand(program, [], { env, timeoutMs: askMs });
  return ok ? driverCudaIn(stdout) : undefined;
}

/** What is to be said of an installed torch and the driver of this machine. */
export async function torchFindings(
  torch: string | undefined,
  env: Readonly<Record<string, string | undefined>>,
): Promise<readonly Finding[]> {
  const finding = torch === undefined ? undefined : torchFinding(torch, await driverCuda(env));
  return finding ? [finding] : [];
}

/**
 * Whether a build of torch, such as `2.7.0+cu128`, fits what the driver runs; undefined where there is nothing to compare.
 * Within one major version a driver runs newer builds, too, but not all of them do everything
 * (https://docs.nvidia.com/deploy/cuda-compatibility/).
 */
export function torchFinding(torch: string, driver: string | undefined): Finding | undefined {
  const [, major = '', minor = ''] = /\+cu(\d+)(\d)$/.exec(torch) ?? [];
  if (major === '' || driver === undefined) return undefined;
  const [driverMajor = 0, driverMinor = 0] = driver.split('.').map(Number);
  const build = `torch ${torch} is built for CUDA ${major}.${minor}`;
  const hint = 'update the NVIDIA driver, or have torch installed anew for this one: `mgpu comfyui setup --update`';
  if (Number(major) > driverMajor)
    return { level: 'error', message: `${build}, which this driver does not run: it runs up to ${driver}`, hint };
  if (Number(major) === driverMajor && Number(minor) > driverMinor)
    return { level: 'warning', message: `${build}, newer than the ${driver} of this driver`, hint };
  return { level: 'ok', message: `${build}, the driver runs up to ${driver}` };
}
