import { booleanFromText, defineService, numberFromText } from '@mgpu/core';
import { remoteComfyUISchema } from './remote/config.ts';
import { RemoteComfyUIService } from './remote/remote-comfyui-service.ts';

/** A ComfyUI on another machine, which the workers of this one feed with jobs of type `comfyui`. */
export const remoteComfyUI = defineService({
  api: 1,
  kind: 'comfyui-remote',
  summary: 'A ComfyUI on another machine, fed by the workers of this one',
  scope: 'machine',
  schema: remoteComfyUISchema,
  env: {
    ENABLE_COMFYUI_REMOTE: { key: 'enabled', summary: 'Whether one elsewhere is fed', parse: booleanFromText },
    WORKER_COMFYUI_REMOTE_HOST: { key: 'host', summary: 'Where it runs' },
    WORKER_COMFYUI_REMOTE_PORT: { key: 'port', summary: 'Its port', parse: numberFromText },
    WORKER_COMFYUI_REMOTE_SECURE: { key: 'secure', summary: 'Whether over https', parse: booleanFromText },
    WORKER_COMFYUI_REMOTE_USERNAME: { key: 'username', summary: 'For a proxy that wants a password' },
    WORKER_COMFYUI_REMOTE_PASSWORD: { key: 'password', summary: 'The password' },
  },
  phase: 'ComfyUI elsewhere',
  critical: false,
  connector: { types: ['comfyui'], module: new URL('../dist/connector.js', import.meta.url) },
  create: ({ enabled: _, ...config }, context) => new RemoteComfyUIService(config, context),
});
