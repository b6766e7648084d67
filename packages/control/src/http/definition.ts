import { defineService, numberFromText } from '@mgpu/core';
import type { ControlApi } from '../control-api.ts';
import { httpSchema } from './config.ts';
import { HttpService } from './http-service.ts';

const nobody = (): ControlApi => {
  throw new TypeError('http: whoever makes instances of it has to say whose face they are');
};

/** The machine's API over TCP; `api` gives what an instance is the face of. */
export const http = ({ api = nobody }: { readonly api?: () => ControlApi } = {}) =>
  defineService({
    api: 1,
    kind: 'http',
    summary: 'The HTTP API: health and readiness, control, logs, events, jobs, metrics',
    scope: 'machine',
    schema: httpSchema,
    env: {
      HEALTH_PORT: { key: 'port', summary: 'Port of the HTTP API', parse: numberFromText },
      MACHINE_HEALTH_PORT: { key: 'port', summary: 'Port of the HTTP API', parse: numberFromText },
      MGPU_HTTP_HOST: { key: 'host', summary: 'Address of the HTTP API, such as 0.0.0.0' },
      MGPU_HTTP_PORT: { key: 'port', summary: 'Port of the HTTP API', parse: numberFromText },
      MGPU_HTTP_TOKEN: { key: 'token', summary: 'The token of the HTTP API; without it one is made and kept' },
    },
    phase: 'http',
    critical: false,
    create: ({ enabled: _, ...options }, context) => new HttpService(options, api(), context),
    ports: ({ port }) => [{ instance: 'http', port }],
  });
