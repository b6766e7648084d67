import { deadline, type Finding, MgpuError, runCommand, systemClock } from '@mgpu/core';
import type { RedisConfig } from './config.ts';
import { shownUrl } from './external-redis-service.ts';
import { locateProgram } from './locate-program.ts';
import { askRedis, readFacts } from './redis-client.ts';

const patienceMs = 3_000;

/** What is to be said about the queue of this machine before it runs. */
export async function diagnose(
  { url, program }: RedisConfig,
  env: Readonly<Record<string, string | undefined>>,
): Promise<readonly Finding[]> {
  return url === undefined ? diagnoseProgram(program, env) : diagnoseServer(url);
}

async function diagnoseProgram(
  program: string | undefined,
  env: Readonly<Record<string, string | undefined>>,
): Promise<readonly Finding[]> {
  try {
    const file = await locateProgram(program, env);
    const { stdout } = await runCommand(file, ['--version']);
    const version = /\bv=(\S+)/.exec(stdout)?.[1];
    return [{ level: 'ok', message: `redis: ${file}${version === undefined ? '' : ` ${version}`}` }];
  } catch (error) {
    if (!(error instanceof MgpuError)) throw error;
    const { message, hint } = error;
    return [{ level: 'error', message: `redis: ${message}`, ...(hint === undefined ? {} : { hint }) }];
  }
}

async function diagnoseServer(url: string): Promise<readonly Finding[]> {
  const shown = shownUrl(url);
  using patience = deadline(systemClock, patienceMs, () => new DOMException('no answer in time', 'TimeoutError'));
  const answer = await askRedis(new URL(url), readFacts, patience.signal);
  if (!answer.ok) {
    const reason = patience.signal.aborted ? `no answer within ${patienceMs} ms` : answer.reason;
    const hint = 'check services.redis.url; workers wait until it answers, the machine runs without it';
    return [{ level: 'warning', message: `redis: ${shown} cannot be used: ${reason}`, hint }];
  }
  const { version, maxmemoryPolicy } = answer.value;
  if (maxmemoryPolicy !== 'noeviction') {
    const hint = 'run CONFIG SET maxmemory-policy noeviction on it: evicted keys are lost jobs';
    return [{ level: 'warning', message: `redis: ${shown} has maxmemory-policy ${maxmemoryPolicy}`, hint }];
  }
  return [{ level: 'ok', message: `redis: ${shown} ${version}` }];
}
