import { booleanFromText, defineService, numberFromText } from '@mgpu/core';
import { nginxSchema } from './config.ts';
import { diagnose } from './diagnose.ts';
import { locateProgram } from './locate-program.ts';
import { NginxService } from './nginx-service.ts';
import { expectProtected } from './users.ts';

/** The proxy in front of the engines. */
export const nginx = defineService({
  api: 1,
  kind: 'nginx',
  summary: 'The proxy in front of the engines: a port per GPU, balanced paths, passwords',
  scope: 'machine',
  schema: nginxSchema,
  env: {
    ENABLE_NGINX: { key: 'enabled', summary: 'Whether there is a proxy', parse: booleanFromText },
    NGINX_HOST: { key: 'host', summary: 'Address all ports listen on, such as 0.0.0.0' },
    NGINX_PORT: { key: 'port', summary: 'The main port', parse: numberFromText },
    COMFYUI_EXPOSED_HOST_PORT_BASE: {
      key: 'upstreams.comfyui.basePort',
      summary: 'Port in front of the ComfyUI on GPU 0',
      parse: numberFromText,
    },
    A1111_EXPOSED_HOST_PORT_BASE: {
      key: 'upstreams.a1111.basePort',
      summary: 'Port in front of the Automatic1111 on GPU 0',
      parse: numberFromText,
    },
    SERVER_CREDS: { key: 'credentials', summary: 'Users that may come in: user:password, user:hash, or a password' },
  },
  phase: 'nginx',
  critical: false,
  async install({ env }, config) {
    expectProtected('nginx', config);
    await locateProgram(config.program, env);
  },
  create: (config, context) => new NginxService(config, context),
  ports: ({ port, upstreams }, _gpus, all) => [
    { instance: 'nginx', port },
    ...all.flatMap(({ kind, gpu = 0 }) => {
      const { enabled, basePort } = upstreams[kind] ?? {};
      return enabled && basePort !== undefined ? [{ instance: 'nginx', port: basePort + gpu }] : [];
    }),
  ],
  doctor: (config, { env }) => diagnose(config, env),
});
