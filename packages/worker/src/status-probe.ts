import { type Clock, type Probe, probeFail, probeOk, versionedFile } from '@mgpu/core';
import { z } from 'zod';
import type { WorkerStatus } from './status-file.ts';

/** Undefined while there is none. Throws `CORE_FILE_VERSION` or `CORE_FILE_INVALID`. */
export const readStatus = (path: string): WorkerStatus | undefined =>
  versionedFile(path, 1, z.custom<WorkerStatus>()).read();

/** Asks the status file of a worker; `verdict` is a reason when the answer is no. */
function statusProbe(description: string, path: string, verdict: (status: WorkerStatus) => string | undefined): Probe {
  return {
    description,
    async attempt() {
      const status = readStatus(path);
      const reason = status === undefined ? 'the worker has not written its status yet' : verdict(status);
      return reason === undefined ? probeOk : probeFail(reason);
    },
  };
}

/**
 * The process is up, has tried to reach Redis, and what keeps it from being ready is not about to pass. `isComing` tells
 * of an engine that is being started.
 */
export const startedProbe = (path: string, isComing: (engine: string) => boolean) =>
  statusProbe('the status of the worker', path, ({ state, redis, engines }) => {
    if (state === 'starting') return 'the worker is loading its connectors';
    if (redis.state === 'connecting') return 'the worker is connecting to redis';
    const coming = engines.find(({ engine, ready }) => !ready && isComing(engine));
    return coming && redis.state === 'connected' ? `${coming.engine} is not ready yet` : undefined;
  });

/** Redis and an engine can be used. `onStatus` hears of each status that is read. */
export const readyProbe = (path: string, onStatus: (status: WorkerStatus) => void) =>
  statusProbe('redis and engines of the worker', path, (status) => {
    onStatus(status);
    const { state, redis, engines } = status;
    if (state === 'draining') return 'the worker is draining';
    const problems = [
      redis.state === 'connected' ? undefined : (redis.problem ?? 'redis is not connected'),
      engines.length === 0 ? 'there is no engine to feed' : undefined,
      ...(engines.some(({ ready }) => ready) ? [] : [enginesAway(status)]),
    ].filter((each) => each !== undefined);
    return problems.length === 0 ? undefined : problems.join('; ');
  });

/** What keeps engines from being fed, in words; undefined when all can be. */
export function enginesAway({ engines }: Pick<WorkerStatus, 'engines'>): string | undefined {
  const reasons = engines.flatMap(({ ready, reason, engine }) => (ready ? [] : [reason ?? `${engine} is not ready`]));
  return reasons.length === 0 ? undefined : reasons.join('; ');
}

/** The worker still writes its status. */
export const aliveProbe = (path: string, clock: Clock, maxAgeMs: number) =>
  statusProbe('the beat of the worker', path, ({ beat }) => {
    const age = clock.now() - beat;
    return age <= maxAgeMs ? undefined : `no sign of life for ${Math.round(age / 1_000)} s`;
  });
