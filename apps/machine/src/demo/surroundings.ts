import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { findProgram, layoutOf, runCommand } from '@mgpu/core';
import { servicesOnPorts } from '../services-on-ports.ts';
import { demoWorkflow } from './workflow.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** What the demo's jobs ask for by name: a file of nothing that comes by a download, and what simulated registries have. */
export const demoModels = { checkpoint: 'demo.safetensors', language: 'llama3' } as const;

export interface Surroundings extends AsyncDisposable {
  /** A home without anything in it, so that nothing of the user's is read or written. */
  readonly home: string;
  /** `services:` with all there is switched on. */
  readonly services: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

/** Ports that a demo takes. */
export const demoPorts = (gpus: number): number => 4 * gpus + 4;

/** Gives every service of a machine at `root` something to do that needs no network, on ports from `first` on. */
export async function surround(
  root: string,
  { first, gpus, env }: { readonly first: number; readonly gpus: number; readonly env: Environment },
): Promise<Surroundings> {
  const home = join(root, 'home');
  await mkdir(home);
  const { nginx, ...basics } = servicesOnPorts(first, gpus);
  const next = first + 2 * gpus + 2;
  const [engines, proxied, ollama, downloads] = [next, next + gpus, next + 2 * gpus, next + 2 * gpus + 1];
  const repository = await writeWorkflows(root, gpus, { ...env, HOME: home });
  await writePack(root);
  await writeModelLists(root, `http://127.0.0.1:${downloads}`);
  const server = await serveModels(downloads);
  return {
    home,
    services: {
      ...basics,
      a1111: { enabled: true, basePort: engines },
      ollama: { enabled: true, listen: { port: ollama }, defaultModel: demoModels.language },
      nginx: { ...nginx, upstreams: { ...nginx.upstreams, a1111: { basePort: proxied } } },
      models: { download: true, reserveGiB: 0 },
      'git-access': { identity: { name: 'mgpu demo', email: 'demo@localhost' } },
      ...(repository === undefined ? {} : { workflows: { url: repository, branch: 'main' } }),
    },
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

/** Workflows, and an empty repository that they are shared with; undefined where there is no Git to do it. */
async function writeWorkflows(root: string, gpus: number, env: Environment): Promise<string | undefined> {
  const folder = join(layoutOf(root).shared, 'workflows');
  await mkdir(folder, { recursive: true });
  for (let number = 0; number < gpus; number++)
    await writeFile(join(folder, `demo-${number}.json`), JSON.stringify(demoWorkflow(number), undefined, 2));
  const git = await findProgram(['git'], env);
  if (git === undefined) return undefined;
  const repository = join(root, 'workflows.git');
  const made = await runCommand(git, ['init', '--quiet', '--bare', repository], { env, timeoutMs: 10_000 });
  return made.ok ? repository : undefined;
}

/** A pack of custom nodes as an image brings one along, without any node. */
async function writePack(root: string): Promise<void> {
  const pack = join(root, 'shared_custom_nodes', 'demo-pack');
  await mkdir(pack, { recursive: true });
  await writeFile(join(pack, '__init__.py'), 'NODE_CLASS_MAPPINGS = {}\n');
}

/** A list with one model, and a link by which Automatic1111 has it among its own. */
async function writeModelLists(root: string, url: string): Promise<void> {
  const { shared } = layoutOf(root);
  const { checkpoint } = demoModels;
  const models = [{ url: `${url}/${checkpoint}`, path: `checkpoints/${checkpoint}` }];
  const symlinks = [{ source: `models/checkpoints/${checkpoint}`, target: `sd_models/Stable-diffusion/${checkpoint}` }];
  await writeFile(join(shared, 'models.json'), JSON.stringify({ models }));
  await writeFile(join(shared, 'static-models.json'), JSON.stringify({ symlinks }));
}

/** Where the model comes from: the network is no part of a demo. */
async function serveModels(port: number) {
  const model = randomBytes(100_000);
  const server = createServer((_, response) => response.writeHead(200, { 'content-length': model.length }).end(model));
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return server;
}
