import type { MgpuError } from '../errors/mgpu-error.ts';
import { type HttpAnswer, httpFailure, httpGet } from '../http.ts';
import { isOurFault } from './our-fault.ts';
import { type Probe, type ProbeOutcome, probeFail, probeOk } from './probe.ts';

/** What an answer must be. Default: a status from 200 to 399. A returned error ends the wait at once. */
export type HttpExpectation = (answer: HttpAnswer) => true | string | MgpuError;

export interface HttpProbeOptions {
  readonly expect?: HttpExpectation;
  /** Asks through a Unix socket instead of the URL's host. */
  readonly socketPath?: string;
  readonly headers?: Record<string, string>;
}

const anySuccess: HttpExpectation = ({ status }) => (status >= 200 && status < 400) || `status ${status}`;

/** Asks with GET. */
export function httpProbe(url: URL, { expect = anySuccess, ...options }: HttpProbeOptions = {}): Probe {
  return {
    description: `GET ${url.href}`,
    async attempt({ signal }): Promise<ProbeOutcome> {
      let answer: HttpAnswer;
      try {
        answer = await httpGet(url, { signal, ...options });
      } catch (error) {
        const reason = httpFailure(error);
        return isOurFault(error) ? { outcome: 'unknown', reason } : probeFail(reason);
      }
      const verdict = expect(answer);
      if (verdict === true) return probeOk;
      return typeof verdict === 'string' ? probeFail(verdict) : { outcome: 'fatal', error: verdict };
    },
  };
}
