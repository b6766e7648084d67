import { abortable, type JobEvent, type JobStatus, JobUnknownError, MgpuError } from '@mgpu/core';
import type { ClientConnection } from './client-connection.ts';
import { RedisUnreachableError } from './errors.ts';
import type { FeedNews } from './job-feed.ts';
import { publicId } from './job-names.ts';
import { completed, failed, type KnownJob, withProgress } from './job-status.ts';
import type { PreviewMessage } from './preview-listener.ts';

type News = FeedNews | { readonly change: 'preview'; readonly preview: PreviewMessage };

/** News that wait for their reader; of progress and previews only the newest. */
class Inbox {
  #news: News[] = [];
  #arrived = Promise.withResolvers<void>();

  push(news: News): void {
    if (news.change === 'preview' || news.change === 'progress')
      this.#news = this.#news.filter(({ change }) => change !== news.change);
    this.#news.push(news);
    this.#arrived.resolve();
  }

  async next(signal: AbortSignal): Promise<News> {
    for (;;) {
      const news = this.#news.shift();
      if (news) return news;
      this.#arrived = Promise.withResolvers();
      await abortable(this.#arrived.promise, signal);
    }
  }
}

/** The events of a job from its present state to its end. */
export async function* watchJob(
  connection: ClientConnection,
  { type, id }: { type: string; id: string },
  { signal, closed }: { signal: AbortSignal | undefined; closed: AbortSignal },
): AsyncGenerator<JobEvent, void> {
  const job = publicId(type, id);
  const until = signal ? AbortSignal.any([signal, closed]) : closed;
  const inbox = new Inbox();
  const read = async (): Promise<KnownJob> => {
    const known = await connection.read(type, id);
    if (!known) throw new JobUnknownError({ job });
    return known;
  };
  /** Once the watch has begun it waits for Redis as long as it takes. */
  const readAgain = async (): Promise<KnownJob> => {
    for (;;) {
      try {
        return await read();
      } catch (error) {
        const isAway = error instanceof MgpuError && error.code === RedisUnreachableError.code;
        if (!isAway || until.aborted) throw error;
      }
    }
  };
  const ends: (() => void)[] = [];
  try {
    // Only a queue that has the job is worth a connection.
    if (!connection.follows(type)) await abortable(read(), until);
    // Listening comes first: what happens while the state is read is in the inbox.
    const feed = await abortable(connection.feed(type), until);
    ends.push(feed.listen(id, (news) => inbox.push(news)));
    ends.push(connection.listenToPreviews(job, (preview) => inbox.push({ change: 'preview', preview })));
    let { status, attempt, at } = await abortable(read(), until);
    let told: JobEvent | undefined = stateOf(status, attempt);
    yield told ?? { event: 'ended', status };
    while (told) {
      const news = await inbox.next(until);
      // What the state that was read knows already.
      if ('at' in news && !isLater(news.at, at)) continue;
      if (news.change === 'removed') throw new JobUnknownError({ job });
      if (news.change === 'delayed') attempt += 1;
      if (news.change === 'progress') status = withProgress(status, news.progress);
      if (news.change === 'reconnected') ({ status, attempt, at } = await abortable(readAgain(), until));
      if (news.change === 'completed') status = completed(status, news.result);
      if (news.change === 'failed') status = failed(status, news.failedReason);
      if (news.change === 'waiting' || news.change === 'delayed') status = { ...status, state: 'waiting' };
      if (news.change === 'active') status = { ...status, state: 'active' };
      if (news.change === 'preview') yield { event: 'preview', ...news.preview };
      if (news.change === 'progress') yield { event: 'progress', progress: news.progress };
      const state = stateOf(status, attempt);
      if (!state) yield { event: 'ended', status };
      else if (!isSame(state, told)) yield state;
      told = state;
    }
  } catch (error) {
    if (!signal?.aborted) throw error;
  } finally {
    for (const end of ends) end();
  }
}

function stateOf({ state }: JobStatus, attempt: number): JobEvent | undefined {
  return state === 'waiting' || state === 'active' ? { event: 'state', state, attempt } : undefined;
}

/** Positions in a stream are `<milliseconds>-<number>`. */
function isLater(a: string, b: string): boolean {
  const [aMs = 0, aNumber = 0] = a.split('-').map(Number);
  const [bMs = 0, bNumber = 0] = b.split('-').map(Number);
  return aMs === bMs ? aNumber > bNumber : aMs > bMs;
}

const isSame = (a: JobEvent, b: JobEvent) =>
  a.event === 'state' && b.event === 'state' && a.state === b.state && a.attempt === b.attempt;
