import { keyBase } from './job-names.ts';
import { type QueueChange, QueueFeed } from './queue.ts';
import type { RedisLink } from './redis.ts';

/** What a listener hears: a change, or that the connection was away and the job has to be looked at again. */
export type FeedNews = (QueueChange & { readonly at: string }) | { readonly change: 'reconnected' };
export type FeedListener = (news: FeedNews) => void;

/** The changes of all jobs of one queue over one connection, handed to whoever listens to a job. */
export class JobFeed {
  readonly #link: RedisLink;
  readonly #feed: QueueFeed;
  readonly #listeners = new Map<string, Set<FeedListener>>();

  /** Nothing that happens after this has resolved is missed. */
  static async open(link: RedisLink, prefix: string, type: string): Promise<JobFeed> {
    const newest = await link.client.xrevrange(`${keyBase(prefix, type)}events`, '+', '-', 'COUNT', 1);
    return new JobFeed(link, prefix, type, newest[0]?.[0] ?? '0-0');
  }

  private constructor(link: RedisLink, prefix: string, type: string, after: string) {
    this.#link = link.duplicate();
    const onChange = (id: string, change: QueueChange, at: string) => this.#tell(id, { ...change, at });
    this.#feed = new QueueFeed(type, { client: this.#link.client, prefix, after, onChange });
    let seen = false;
    this.#link.onChange(() => {
      if (!this.#link.connected) return;
      if (seen) for (const id of [...this.#listeners.keys()]) this.#tell(id, { change: 'reconnected' });
      seen = true;
    });
  }

  /** Returns the function that ends it. */
  listen(id: string, listener: FeedListener): () => void {
    const listeners = this.#listeners.get(id) ?? new Set();
    this.#listeners.set(id, listeners.add(listener));
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0) this.#listeners.delete(id);
    };
  }

  close(): void {
    this.#feed.close();
    this.#link.close();
  }

  #tell(id: string, news: FeedNews): void {
    for (const each of [...(this.#listeners.get(id) ?? [])]) each(news);
  }
}
