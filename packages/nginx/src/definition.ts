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
    NGINX_PORT: { key: 'port', summary: 'The main port', parse: numberFromText },
    SERVER_CREDS: { key: 'credentials', summary: 'Users that may come in: user:password, user:hash, or a password' },
  },
  phase: 'nginx',
  critical: false,
  async install({ env }, config) {
    expectProtected('nginx', config);
    await locateProgram(config.program, env);
  },
  create: ({ program, authFile, credentials, user, ...config }, context) =>
    new NginxService(
      {
        ...config,
        ...(program === undefined ? {} : { program }),
        ...(authFile === undefined ? {} : { authFile }),
        ...(credentials === undefined ? {} : { credentials }),
        ...(user === undefined ? {} : { user }),
      },
      context,
    ),
  ports: ({ port, upstreams }, gpus) => [
    { instance: 'nginx', port },
    ...Object.values(upstreams)
      .filter(({ enabled }) => enabled)
      .flatMap(({ basePort }) => (basePort === undefined ? [] : gpus.map((gpu) => basePort + gpu)))
      .map((each) => ({ instance: 'nginx', port: each })),
  ],
  doctor: (config, { env }) => diagnose(config, env),
});
