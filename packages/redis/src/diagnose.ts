import { deadline, type Finding, findingOf, redact, runCommand, systemClock, versionFinding } from '@mgpu/core';
import type { RedisConfig } from './config.ts';
import { locateProgram } from './locate-program.ts';
import { askRedis, readFacts } from './redis-client.ts';

/** What BullMQ asks for; every Valkey is newer. */
const required = { oldest: '6.2', hint: 'use Redis 6.2 or newer, or Valkey' };
const patienceMs = 3_000;

/** What is to be said about the queue of this machine before it runs. */
export async function diagnose(
  { url, program }: RedisConfig,
  env: Readonly<Record<string, string | undefined>>,
): Promise<readonly Finding[]> {
  return [url === undefined ? await diagnoseProgram(program, env) : await diagnoseServer(url)];
}

async function diagnoseProgram(
  program: string | undefined,
  env: Readonly<Record<string, string | undefined>>,
): Promise<Finding> {
  try {
    const file = await locateProgram(program, env);
    const { stdout } = await runCommand(file, ['--version']);
    return versionFinding(`redis: ${file}`, /\bv=(\S+)/.exec(stdout)?.[1], required);
  } catch (error) {
    return findingOf(error, 'error');
  }
}

/** What is to be said about an existing server; takes at most 3 s. */
export async function diagnoseServer(url: string, signal?: AbortSignal): Promise<Finding> {
  const shown = redact(url);
  const late = () => new DOMException('no answer in time', 'TimeoutError');
  using patience = deadline(systemClock, patienceMs, late, signal);
  const answer = await askRedis(new URL(url), readFacts, patience.signal);
  if (!answer.ok) {
    const reason = patience.signal.aborted ? `no answer within ${patienceMs} ms` : answer.reason;
    const hint = 'check services.redis.url; workers wait until it answers, the machine runs without it';
    return { level: 'warning', message: `redis: ${shown} cannot be used: ${reason}`, hint };
  }
  const { version, maxmemoryPolicy } = answer.value;
  if (maxmemoryPolicy !== 'noeviction') {
    const hint = 'run CONFIG SET maxmemory-policy noeviction on it: evicted keys are lost jobs';
    return { level: 'warning', message: `redis: ${shown} has maxmemory-policy ${maxmemoryPolicy}`, hint };
  }
  return versionFinding(`redis: ${shown}`, version, required);
}
