import { type QueueItem, queueTuple } from './queue.ts';

const MOST_ENTRIES = 10_000;

export interface NodeMeta {
  readonly node_id: string;
  readonly display_node: string;
  readonly parent_node: string | null;
  readonly real_node_id: string;
}

export interface RunStatus {
  readonly status_str: 'success' | 'error';
  readonly completed: boolean;
  readonly messages: readonly (readonly [event: string, data: Record<string, unknown>])[];
}

export interface HistoryEntry {
  readonly prompt: unknown;
  readonly outputs: Record<string, Record<string, unknown>>;
  readonly status: RunStatus;
  readonly meta: Record<string, NodeMeta>;
}

export interface FinishedRun extends Omit<HistoryEntry, 'prompt'> {
  readonly item: QueueItem;
}

/** Finished prompts, oldest first, in memory only. */
export class History {
  readonly #runs = new Map<string, FinishedRun>();

  add(run: FinishedRun): void {
    if (this.#runs.size > MOST_ENTRIES) this.#runs.delete(this.#runs.keys().next().value as string);
    this.#runs.set(run.item.id, run);
  }

  get(id: string): FinishedRun | undefined {
    return this.#runs.get(id);
  }

  all(): FinishedRun[] {
    return [...this.#runs.values()];
  }

  delete(id: string): void {
    this.#runs.delete(id);
  }

  clear(): void {
    this.#runs.clear();
  }

  /** `max_items` without an offset means the newest ones. */
  page(maxItems: number | undefined, offset: number): Record<string, HistoryEntry> {
    const runs = this.all();
    const from = offset < 0 && maxItems !== undefined ? Math.max(0, runs.length - maxItems) : Math.max(0, offset);
    const to = maxItems === undefined ? runs.length : from + maxItems;
    return Object.fromEntries(runs.slice(from, to).map((run) => [run.item.id, historyEntry(run)]));
  }
}

/** The wire form of a finished run. */
export function historyEntry({ item, outputs, status, meta }: FinishedRun): HistoryEntry {
  return { prompt: queueTuple(item), outputs, status, meta };
}
