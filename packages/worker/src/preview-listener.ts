import type { RedisLink } from './redis.ts';

/** A preview as it travels. */
export interface PreviewMessage {
  readonly mediaType: string;
  /** Base64. */
  readonly data: string;
}

type Listener = (preview: PreviewMessage) => void;

/** Subscriptions of many watchers on one connection; what is asked for in one go is subscribed in one command. */
export class PreviewListener {
  readonly #link: RedisLink;
  readonly #listeners = new Map<string, Set<Listener>>();
  readonly #subscribed = new Set<string>();
  #isDue = false;

  constructor(link: RedisLink) {
    this.#link = link.duplicate();
    this.#link.client.on('message', (channel, message) => {
      const preview = parse(message);
      if (preview) for (const each of [...(this.#listeners.get(channel) ?? [])]) each(preview);
    });
  }

  /** Returns the function that ends it. */
  listen(channel: string, listener: Listener): () => void {
    const listeners = this.#listeners.get(channel) ?? new Set();
    this.#listeners.set(channel, listeners.add(listener));
    this.#update();
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0) this.#listeners.delete(channel);
      this.#update();
    };
  }

  close(): void {
    this.#listeners.clear();
    this.#link.close();
  }

  #update(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    setImmediate(() => {
      this.#isDue = false;
      const { client } = this.#link;
      const added = [...this.#listeners.keys()].filter((each) => !this.#subscribed.has(each));
      const gone = [...this.#subscribed].filter((each) => !this.#listeners.has(each));
      for (const each of added) this.#subscribed.add(each);
      for (const each of gone) this.#subscribed.delete(each);
      // A preview that is missed is followed by the next one; a closed client needs none.
      if (added.length > 0) client.subscribe(...added).catch(() => {});
      if (gone.length > 0) client.unsubscribe(...gone).catch(() => {});
    });
  }
}

function parse(message: string): PreviewMessage | undefined {
  try {
    const { mediaType, data } = JSON.parse(message) as Partial<PreviewMessage>;
    return typeof mediaType === 'string' && typeof data === 'string' ? { mediaType, data } : undefined;
  } catch {
    // not one of ours
    return undefined;
  }
}
