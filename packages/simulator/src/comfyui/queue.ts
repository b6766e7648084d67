import type { Prompt } from './graph.ts';

/** One submitted prompt: ComfyUI's queue tuple, with the secrets of its sixth element already dropped. */
export interface QueueItem {
  readonly number: number;
  readonly id: string;
  readonly prompt: Prompt;
  readonly extraData: Readonly<Record<string, unknown>>;
  readonly outputs: readonly string[];
}

/** How prompt ids look from 0.25 on: a UUID in lower case. */
export const isPromptId = (id: unknown): id is string =>
  typeof id === 'string' && /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(id);

/** The wire form of an item in `/queue` and `/history`. */
export const queueTuple = (item: QueueItem) => [item.number, item.id, item.prompt, item.extraData, item.outputs];

/**
 * The prompt queue. Pending items are kept in the array layout of Python's `heapq`, because `GET /queue` shows that
 * layout: a client that does not sort must notice here as it would there.
 */
export class PromptQueue {
  readonly #heap: QueueItem[] = [];
  readonly #changed: () => void;
  #running: QueueItem | undefined;
  #wake: (() => void) | undefined;

  /** `changed` is called for each `status` event that the real queue would send. */
  constructor(changed: () => void) {
    this.#changed = changed;
  }

  get running(): QueueItem | undefined {
    return this.#running;
  }

  get pending(): readonly QueueItem[] {
    return this.#heap;
  }

  get remaining(): number {
    return this.#heap.length + (this.#running === undefined ? 0 : 1);
  }

  put(item: QueueItem): void {
    this.#heap.push(item);
    this.#siftDown(0, this.#heap.length - 1);
    this.#changed();
    this.#wake?.();
  }

  /** The next item, which is running from now on. Only the one worker calls this. */
  async take(): Promise<QueueItem> {
    while (this.#heap.length === 0) await new Promise<void>((resolve) => (this.#wake = resolve));
    this.#wake = undefined;
    const last = this.#heap.pop() as QueueItem;
    const item = this.#heap[0] ?? last;
    if (this.#heap.length > 0) {
      this.#heap[0] = last;
      this.#siftUp(0);
    }
    this.#running = item;
    this.#changed();
    return item;
  }

  done(): void {
    this.#running = undefined;
    this.#changed();
  }

  clear(): void {
    this.#heap.length = 0;
    this.#changed();
  }

  /** Removes one pending item. Removing the only one counts as a clear as well, hence two events. */
  delete(id: string): boolean {
    const at = this.#heap.findIndex((item) => item.id === id);
    if (at < 0) return false;
    if (this.#heap.length === 1) this.clear();
    else {
      this.#heap.splice(at, 1);
      for (let i = (this.#heap.length >> 1) - 1; i >= 0; i--) this.#siftUp(i);
    }
    this.#changed();
    return true;
  }

  // The two below are named as in heapq: `siftDown` moves a new leaf towards the root, `siftUp` a new root to a leaf first.
  #siftDown(start: number, from: number): void {
    const heap = this.#heap;
    const item = heap[from] as QueueItem;
    let at = from;
    while (at > start) {
      const above = (at - 1) >> 1;
      const parent = heap[above] as QueueItem;
      if (!isBefore(item, parent)) break;
      heap[at] = parent;
      at = above;
    }
    heap[at] = item;
  }

  #siftUp(start: number): void {
    const heap = this.#heap;
    const item = heap[start] as QueueItem;
    let at = start;
    for (let child = 2 * at + 1; child < heap.length; child = 2 * at + 1) {
      const right = child + 1;
      if (right < heap.length && !isBefore(heap[child] as QueueItem, heap[right] as QueueItem)) child = right;
      heap[at] = heap[child] as QueueItem;
      at = child;
    }
    heap[at] = item;
    this.#siftDown(start, at);
  }
}

const isBefore = (a: QueueItem, b: QueueItem) => a.number < b.number || (a.number === b.number && a.id < b.id);
