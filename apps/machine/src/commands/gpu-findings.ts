import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { type Finding, type Gpu, type GpuInventory, reportError } from '@mgpu/core';
import { driverCuda } from '@mgpu/core/python';
import { quarantinedGpus } from '@mgpu/watchdog';
import type { Settings } from '../settings.ts';

type GpuFinding = Finding & { readonly subject: string };

/** What every process that computes has to open. */
const devices = ['/dev/nvidiactl', '/dev/nvidia-uvm'];

/** The driver, each GPU, and whether this user may use them. */
export async function gpuFindings(
  { layout, env }: Pick<Settings, 'layout' | 'env'>,
  inventory: GpuInventory | Error,
): Promise<GpuFinding[]> {
  if (inventory instanceof Error) return [{ ...failure(inventory), level: 'error' }];
  const { gpus, problem } = inventory;
  const out = quarantinedGpus(layout.state);
  const found = gpus.map((gpu): GpuFinding => {
    const subject = `gpu ${gpu.index}`;
    const why = out.find((each) => each.gpu === gpu.uuid);
    if (!why) return { subject, level: 'ok', message: describeGpu(gpu) };
    return { subject, level: 'error', message: `${describeGpu(gpu)}, out of service: ${why.reason}`, hint: why.hint };
  });
  return [
    ...(await driverFindings(gpus, env)),
    ...found,
    ...(problem ? [{ ...failure(problem), level: 'warning' as const }] : []),
  ];
}

async function driverFindings(gpus: readonly Gpu[], env: Settings['env']): Promise<GpuFinding[]> {
  const real = gpus.find(({ mode }) => mode === 'nvidia');
  if (!real) return [];
  const cuda = await driverCuda(env);
  const message = `${real.driver ?? 'of an unknown version'}${cuda === undefined ? '' : `, runs CUDA up to ${cuda}`}`;
  const closed = await Promise.all(devices.map(async (path) => ((await isClosed(path)) ? [path] : [])));
  return [
    { subject: 'driver', level: 'ok', message },
    ...closed.flat().map((path): GpuFinding => {
      const hint = 'let this user read and write it (group video), or run as one who may';
      return { subject: 'driver', level: 'error', message: `${path} is not for this user to open`, hint };
    }),
  ];
}

/** There, and not for us. */
const isClosed = (path: string) =>
  access(path, constants.R_OK | constants.W_OK).then(
    () => false,
    (error: NodeJS.ErrnoException) => error.code === 'EACCES',
  );

function failure(error: unknown) {
  const { message, hint } = reportError(error);
  return { subject: 'gpu', message, ...(hint === undefined ? {} : { hint }) };
}

const describeGpu = ({ name, memoryMiB, uuid, mode }: Gpu) =>
  mode === 'cpu' ? 'none found, engines run on the CPU' : `${name}, ${memoryMiB} MiB, ${uuid ?? 'no UUID'}`;
