import type { Hub } from './hub.ts';
import type { Preview } from './nodes/node.ts';
import { isSince } from './version.ts';

interface NodeProgress {
  value: number;
  max: number;
  state: 'running' | 'finished';
  readonly node_id: string;
  readonly prompt_id: string;
  readonly display_node_id: string;
  readonly parent_node_id: null;
  readonly real_node_id: string;
}

const LEAST_INTERVAL_MS = 100;
const LEAST_PERCENT = 0.5;

/** Progress of one prompt: the `progress_state` of all nodes touched so far, and `progress` with previews for the running one. */
export class Progress {
  readonly #hub: Hub;
  readonly #promptId: string;
  readonly #throttled: boolean;
  readonly #nodes: Record<string, NodeProgress> = {};
  #lastSent = { at: 0, value: -1 };

  constructor(hub: Hub, promptId: string, version: string) {
    this.#hub = hub;
    this.#promptId = promptId;
    this.#throttled = isSince(version, '0.9.0');
  }

  start(id: string): void {
    this.#lastSent = { at: 0, value: -1 };
    this.#nodes[id] = this.#entry(id);
    this.#send();
  }

  finish(id: string): void {
    this.#nodes[id] ??= this.#entry(id);
    const node = this.#nodes[id] as NodeProgress;
    node.state = 'finished';
    node.value = node.max;
    this.#send();
  }

  /** One update of the running node. Since January 2026 updates that come too fast or move too little are left out. */
  update(id: string, value: number, max: number, preview: Preview | undefined): void {
    if (this.#throttled && preview === undefined && this.#lastSent.value >= 0 && value < max) {
      const percent = ((value - this.#lastSent.value) / max) * 100;
      if (performance.now() - this.#lastSent.at < LEAST_INTERVAL_MS || percent < LEAST_PERCENT) return;
    }
    this.#lastSent = { at: performance.now(), value };
    const node = this.#nodes[id] as NodeProgress;
    node.value = value;
    node.max = max;
    this.#send();
    const withMetadata = preview !== undefined && this.#hub.wantsPreviewMetadata();
    if (withMetadata) this.#hub.previewWithMetadata(preview, this.#metadata(id));
    this.#hub.send('progress', { value, max, prompt_id: this.#promptId, node: id });
    if (preview !== undefined && !withMetadata) this.#hub.preview(preview);
  }

  #entry(id: string): NodeProgress {
    return { value: 0, max: 1, state: 'running', ...this.#metadata(id) };
  }

  #metadata(id: string) {
    return { node_id: id, prompt_id: this.#promptId, display_node_id: id, parent_node_id: null, real_node_id: id };
  }

  #send(): void {
    this.#hub.send('progress_state', { prompt_id: this.#promptId, nodes: this.#nodes });
  }
}
