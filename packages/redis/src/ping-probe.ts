import { type Probe, type ProbeOutcome, probeFail, probeOk, redact } from '@mgpu/core';
import { askRedis } from './redis-client.ts';

/** Says yes when the server answers PING; a server that still loads its data does not. */
export function pingProbe(url: URL): Probe {
  return {
    description: `PING ${redact(url.href)}`,
    async attempt({ signal }): Promise<ProbeOutcome> {
      const answer = await askRedis(url, (client) => client.ping(), signal);
      if (answer.ok) return probeOk;
      return answer.ours ? { outcome: 'unknown', reason: answer.reason } : probeFail(answer.reason);
    },
  };
}
