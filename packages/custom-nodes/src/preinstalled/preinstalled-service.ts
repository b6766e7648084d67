import { join } from 'node:path';
import { BaseService, type Run, type ServiceContext, sharedFolders, standaloneContext } from '@mgpu/core';
import type { PreinstalledNodesConfig } from '../config.ts';
import { type MovedNode, movePreinstalled } from './move-preinstalled.ts';

/** What `new PreinstalledNodesService` takes. */
export interface PreinstalledNodesOptions extends Partial<Omit<PreinstalledNodesConfig, 'enabled'>> {
  /** Folder whose `shared` is meant. Default: a temporary one, removed at the stop. Ignored with a context. */
  readonly root?: string;
}

/** Moves the custom nodes that an image brought along to where engines look for them, and is completed. */
export class PreinstalledNodesService extends BaseService<PreinstalledNodesOptions> {
  #moved: readonly MovedNode[] = [];

  constructor(options: PreinstalledNodesOptions, context: ServiceContext = alone(options)) {
    super(options, context);
  }

  /** What became of each at the last start. */
  get moved(): readonly MovedNode[] {
    return this.#moved;
  }

  protected override async onStart(run: Run): Promise<void> {
    this.#moved = [];
    const { layout, log } = this.context;
    const from = this.config.from ?? join(layout.root, 'shared_custom_nodes');
    const to = sharedFolders(layout).customNodes;
    this.#moved = await movePreinstalled({ from, to, signal: run.signal });
    const failed = this.#moved.filter(({ status }) => status === 'failed');
    for (const { error } of failed) log.warn(`pre-installed nodes: ${error?.message}`, { instance: this.id, error });
    const done = this.#moved.length - failed.length;
    if (done > 0) log.info(`pre-installed nodes: ${done} moved to ${to}`, { instance: this.id });
    if (failed.length > 0) run.setHealth('degraded', `${failed.length} of ${this.#moved.length} were not moved`);
    run.complete();
  }
}

const alone = ({ root }: PreinstalledNodesOptions): ServiceContext =>
  standaloneContext({ kind: 'preinstalled-nodes', ...(root === undefined ? {} : { root }) });
