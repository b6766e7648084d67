import { comfyui } from '@mgpu/comfyui';
import type { AnyServiceDefinition } from '@mgpu/core';
import { nginx } from '@mgpu/nginx';
import { redis } from '@mgpu/redis';
import { worker } from '@mgpu/worker';

/** What the stock machine is made of. A build of your own is a copy of this list with other imports. */
export const definitions: readonly AnyServiceDefinition[] = [redis, nginx, comfyui, worker];
