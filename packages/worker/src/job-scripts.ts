import { JobLostError } from './errors.ts';
import { cancelChannel, keyBase, publicId } from './job-names.ts';
import { type RedisLink, redisScript } from './redis.ts';

/*
 * What BullMQ does not offer, on BullMQ's own keys (versions 5 and 6): `<prefix>:<queue>:<id>` is the job's hash, `:lock` beside it
 * its lock. Our fields in the hash: `mgpu` (JobState as JSON) and `mgpuCancel`; they go with the job.
 */

/** What outlives an attempt. */
export interface JobState {
  readonly v: 1;
  /** Milliseconds since the epoch at which the first attempt began. */
  readonly startedAt: number;
  readonly checkpoint?: unknown;
  /** How often a worker that stopped left it to the next one. */
  readonly handovers?: number;
  /** Engines this job brought down. */
  readonly victims?: readonly string[];
}

const saveState = redisScript(`
local lock = redis.call('GET', KEYS[2])
if (lock and lock ~= ARGV[1]) or redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], 'mgpu', ARGV[2])
return 1`);

// A lock that expired while Redis or we were away is taken again as long as nobody else has the job.
const renewLocks = redisScript(`
local answers = {}
for i = 3, #ARGV, 2 do
  local job = ARGV[1] .. ARGV[i]
  local lock = redis.call('GET', job .. ':lock')
  local held = lock == ARGV[i + 1]
  if not lock and redis.call('EXISTS', job) == 1 then held = redis.call('LPOS', KEYS[1], ARGV[i]) ~= false end
  if held then
    redis.call('SET', job .. ':lock', ARGV[i + 1], 'PX', ARGV[2])
    redis.call('SREM', KEYS[2], ARGV[i])
    answers[#answers + 1] = redis.call('HEXISTS', job, 'mgpuCancel')
  else
    answers[#answers + 1] = 2
  end
end
return answers`);

// Our predecessor is dead: there is one worker of a name at a time. Its active jobs are ours, each counted like a stall, once.
const takeOver = redisScript(`
local taken = {}
for _, id in ipairs(redis.call('LRANGE', KEYS[1], 0, -1)) do
  local job = ARGV[1] .. id
  if redis.call('HGET', job, 'pb') == ARGV[2] then
    local token = ARGV[3] .. id
    if redis.call('GET', job .. ':lock') ~= token then redis.call('HINCRBY', job, 'stc', 1) end
    redis.call('SET', job .. ':lock', token, 'PX', ARGV[4])
    redis.call('SREM', KEYS[2], id)
    taken[#taken + 1] = id
  end
end
return taken`);

// A job nobody works on ends here and now, as BullMQ would fail it; for a running one its worker is told.
const cancel = redisScript(`
local base, id = ARGV[1], ARGV[2]
local job = base .. id
if redis.call('EXISTS', job) == 0 then return 0 end
if redis.call('HEXISTS', job, 'finishedOn') == 1 then return 1 end
local idle = redis.call('LREM', base .. 'wait', 1, id) + redis.call('ZREM', base .. 'delayed', id)
  + redis.call('ZREM', base .. 'prioritized', id) + redis.call('LREM', base .. 'paused', 1, id)
if idle == 0 and redis.call('EXISTS', job .. ':lock') == 0 then
  idle = redis.call('LREM', base .. 'active', 1, id)
  redis.call('SREM', base .. 'stalled', id)
end
if idle == 0 then
  redis.call('HSET', job, 'mgpuCancel', ARGV[3])
  redis.call('PUBLISH', ARGV[5], id)
  return 1
end
redis.call('HSET', job, 'failedReason', ARGV[4], 'finishedOn', ARGV[3])
redis.call('ZADD', base .. 'failed', ARGV[3], id)
redis.call('XADD', base .. 'events', 'MAXLEN', '~', 10000, '*', 'event', 'failed', 'jobId', id, 'failedReason', ARGV[4], 'prev', 'waiting')
return 1`);

// A job that was cancelled while it waited ended without a worker, which would have trimmed as it ends one. Oldest first, in
// portions.
const trimEnded = redisScript(`
local old = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[3], 'LIMIT', 0, 1000)
local surplus = math.min(redis.call('ZCARD', KEYS[1]) - ARGV[2], 1000)
if surplus > #old then old = redis.call('ZRANGE', KEYS[1], 0, surplus - 1) end
for _, id in ipairs(old) do
  redis.call('DEL', ARGV[1] .. id, ARGV[1] .. id .. ':logs')
  redis.call('ZREM', KEYS[1], id)
end
return #old`);

// Whoever has nothing to do says so for a while; a worker that dies idle is forgotten by itself.
const markIdle = redisScript(`
local now = redis.call('TIME')
redis.call('ZADD', KEYS[1], now[1] * 1000 + ARGV[2], ARGV[1])
return 1`);

const countSurplus = redisScript(`
local now = redis.call('TIME')
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now[1] * 1000)
return redis.call('LLEN', KEYS[1]) + redis.call('ZCARD', KEYS[2]) - redis.call('ZCARD', KEYS[3])`);

export type LockAnswer = 'held' | 'cancelled' | 'lost';
const lockAnswers: readonly LockAnswer[] = ['held', 'cancelled', 'lost'];

/** Commands on the jobs of one queue that go beyond BullMQ. */
export class JobScripts {
  readonly #link: RedisLink;
  readonly #type: string;
  readonly #base: string;
  readonly #channel: string;
  readonly #idleKey: string;

  constructor(link: RedisLink, prefix: string, type: string) {
    this.#link = link;
    this.#type = type;
    this.#base = keyBase(prefix, type);
    this.#channel = cancelChannel(prefix, type);
    this.#idleKey = `${this.#base}mgpu-idle`;
  }

  /** Throws `WORKER_JOB_LOST` when the lock is somebody else's or the job is gone. */
  async saveState(id: string, token: string, state: JobState): Promise<void> {
    const job = this.#base + id;
    const saved = await this.#link.run(saveState, [job, `${job}:lock`], [token, JSON.stringify(state)]);
    if (saved !== 1) throw new JobLostError({ job: publicId(this.#type, id) });
  }

  async readState(id: string): Promise<{ state?: JobState; cancelled: boolean }> {
    const [text, cancelled] = await this.#link.client.hmget(this.#base + id, 'mgpu', 'mgpuCancel');
    const state = text ? (JSON.parse(text) as JobState) : undefined;
    return { cancelled: Boolean(cancelled), ...(state?.v === 1 ? { state } : {}) };
  }

  async renewLocks(jobs: readonly { id: string; token: string }[], lockMs: number): Promise<LockAnswer[]> {
    const keys = [`${this.#base}active`, `${this.#base}stalled`];
    const args = [this.#base, lockMs, ...jobs.flatMap(({ id, token }) => [id, token])];
    const answers = (await this.#link.run(renewLocks, keys, args)) as number[];
    return answers.map((each) => lockAnswers[each] ?? 'lost');
  }

  /** Takes the active jobs of the worker of this name, wherever it was; the lock's token is `<tokenPrefix><id>`. */
  async takeOver(owner: string, tokenPrefix: string, lockMs: number): Promise<readonly string[]> {
    const keys = [`${this.#base}active`, `${this.#base}stalled`];
    return (await this.#link.run(takeOver, keys, [this.#base, owner, tokenPrefix, lockMs])) as string[];
  }

  /** This worker has nothing to do and takes the next job that comes, for the next `forMs` at least. */
  async markIdle(owner: string, forMs: number): Promise<void> {
    await this.#link.run(markIdle, [this.#idleKey], [owner, forMs]);
  }

  async markBusy(owner: string): Promise<void> {
    await this.#link.client.zrem(this.#idleKey, owner);
  }

  /** Whether more jobs wait than workers are idle. */
  async hasSurplus(): Promise<boolean> {
    const keys = [`${this.#base}wait`, `${this.#base}prioritized`, this.#idleKey];
    return Number(await this.#link.run(countSurplus, keys, [])) > 0;
  }

  /** Forgets failed and cancelled jobs beyond the newest `count` and those that ended before `before`. */
  async trimEnded(count: number, before: number): Promise<void> {
    await this.#link.run(trimEnded, [`${this.#base}failed`], [this.#base, count, before]);
  }

  /** Whether there is such a job; `report`: JSON of what its status is going to say. */
  async cancel(id: string, report: string, now: number): Promise<boolean> {
    return (await this.#link.run(cancel, [], [this.#base, id, now, report, this.#channel])) === 1;
  }
}
