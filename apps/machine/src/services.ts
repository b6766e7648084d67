import { join } from 'node:path';
import { a1111 } from '@mgpu/a1111';
import { gitAccess, ssh } from '@mgpu/access';
import { comfyui, remoteComfyUI } from '@mgpu/comfyui';
import { http } from '@mgpu/control';
import { type AnyServiceDefinition, defineService, type Layout } from '@mgpu/core';
import { customNodes, preinstalledNodes } from '@mgpu/custom-nodes/service';
import { models, staticModels } from '@mgpu/models/service';
import { nginx } from '@mgpu/nginx';
import { ollama } from '@mgpu/ollama';
import { redis } from '@mgpu/redis';
import { a1111Program, comfyuiProgram, ollamaProgram } from '@mgpu/simulator';
import { watchdog } from '@mgpu/watchdog';
import { worker } from '@mgpu/worker';
import { workflows } from '@mgpu/workflows/service';

/**
 * What the stock machine is made of. A build of your own is a copy of this package with another list here. What begins
 * first stands first: nothing is to fail without the watchdog.
 */
export const definitions: readonly AnyServiceDefinition[] = /* @__PURE__ */ (() => [
  watchdog,
  http(),
  ssh,
  gitAccess,
  redis,
  // Its own configuration may lie in a private repository.
  defineService({ ...nginx, dependsOn: [{ on: 'git-access', when: 'ready' }] }),
  workflows,
  models,
  // Its links lead into folders that are links themselves, or a clone, once Automatic1111 is installed.
  defineService({
    ...staticModels,
    dependsOn: [...(staticModels.dependsOn ?? []), { on: 'a1111', when: 'installed' }],
  }),
  preinstalledNodes,
  customNodes({ site: () => undefined }),
  // Whatever comes of the nodes, the engine starts with those it has.
  defineService({
    ...comfyui,
    dependsOn: [
      { on: 'preinstalled-nodes', when: 'settled' },
      { on: 'custom-nodes', when: 'settled' },
    ],
  }),
  remoteComfyUI,
  a1111,
  ollama,
  // Jobs in hand may take long to end, and whoever asks over HTTP meanwhile is to hear that the machine stops.
  defineService({ ...worker, dependsOn: [...(worker.dependsOn ?? []), { on: 'http', when: 'started' }] }),
])();

/** What takes an engine's place on simulated GPUs, by kind: a program of Node and its first arguments. */
export const simulators: Readonly<Record<string, (layout: Layout) => readonly string[]>> = {
  a1111: () => [a1111Program()],
  comfyui: (layout) => [comfyuiProgram(), join(simulatedCheckout(layout), 'main.py')],
  ollama: () => [ollamaProgram()],
};

/** Where the simulated ComfyUI lies as far as it knows: its custom nodes come there, apart from those of a real one. */
export const simulatedCheckout = ({ engines }: Pick<Layout, 'engines'>): string => join(engines, 'comfyui-simulated');
