import { BaseService, type Endpoint, httpProbe, type Probes, type ServiceContext, standaloneContext } from '@mgpu/core';
import { withoutCredentials } from '@mgpu/core/http-client';
import { readSystem, tooOld } from '../system-answer.ts';
import type { RemoteComfyUIConfig } from './config.ts';

/**
 * A ComfyUI that somebody else runs. Starting never fails for it: while it does not answer, the health is `notReady` with the
 * reason. Its files are fetched from it, since its folders are not here.
 */
export class RemoteComfyUIService extends BaseService<RemoteComfyUIConfig> {
  constructor(config: RemoteComfyUIConfig, context: ServiceContext = standaloneContext({ kind: 'comfyui-remote' })) {
    super(config, context);
  }

  /** With the credentials: for whoever connects, not for showing. */
  override get endpoint(): Endpoint {
    const { host = '', port, secure, username = '', password = '' } = this.config;
    const url = new URL(`${secure ? 'https' : 'http'}://${host.includes(':') ? `[${host}]` : host}:${port}`);
    url.username = encodeURIComponent(username);
    url.password = encodeURIComponent(password);
    return { instance: this.id, kind: this.kind, url };
  }

  /** There is nothing to acquire: each worker brings a connection of its own. */
  protected override async onStart(): Promise<void> {}

  protected override probes(): Probes {
    const { url, authorization } = withoutCredentials(this.endpoint.url);
    const probe = httpProbe(new URL('system_stats', url), {
      ...(authorization === undefined ? {} : { headers: { authorization } }),
      expect: ({ status, body }) => {
        if (status !== 200) return `status ${status}`;
        const system = readSystem(body);
        return system ? (tooOld(system, this.id)?.message ?? true) : 'the answer is not that of a ComfyUI';
      },
    });
    return { readiness: { probe, intervalMs: this.config.checkIntervalMs, timeoutMs: 5_000, failures: 2 } };
  }
}
