import { readFileSync } from 'node:fs';
import { leasePorts } from '@mgpu/core/testing';
import { type NginxOptions, NginxService } from '../src/index.ts';
import { type Echo, startUpstream, type Upstream } from './upstream.ts';

/** nginx on leased ports in front of stand-in engines, all released together. */
export interface Rig extends AsyncDisposable {
  readonly nginx: NginxService;
  readonly upstreams: readonly Upstream[];
  /** Port of GPU n: `gpuPort + n`. */
  readonly gpuPort: number;
  /** Port of the engine on GPU n: `enginePort + n`. */
  readonly enginePort: number;
  /** URL on the main port. */
  at(path: string): URL;
  atGpu(gpu: number, path: string): URL;
}

export async function startRig(
  gpus: number,
  options: NginxOptions = {},
  others: Readonly<Record<string, { path: string }>> = {},
): Promise<Rig> {
  await using held = new AsyncDisposableStack();
  const lease = held.use(await leasePorts(20));
  const enginePort = lease.first + 10;
  const upstreams: Upstream[] = [];
  for (let gpu = 0; gpu < gpus; gpu++) upstreams.push(held.use(await startUpstream(gpu, enginePort + gpu)));
  const gpuPort = lease.first + 1;
  const nginx = held.use(
    new NginxService({
      port: lease.first,
      endpoints: upstreams.map(({ endpoint }) => endpoint),
      ...options,
      upstreams: { ...others, comfyui: { basePort: gpuPort }, a1111: { basePort: lease.first + 5 } },
    }),
  );
  await nginx.start();
  const kept = held.move();
  return {
    nginx,
    upstreams,
    gpuPort,
    enginePort,
    at: (path) => new URL(path, nginx.endpoint.url),
    atGpu: (gpu, path) => new URL(path, `http://127.0.0.1:${gpuPort + gpu}`),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

/** Asks and reads what the engine saw. */
export async function ask(url: URL, init: RequestInit = {}): Promise<{ echo: Echo; cookie: string | undefined }> {
  const answer = await fetch(url, init);
  const echo = (await answer.json()) as Echo;
  return { echo, cookie: answer.headers.get('set-cookie') ?? undefined };
}

/** Pids of the workers. */
export function workersOf({ pid }: NginxService): string[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean);
}
