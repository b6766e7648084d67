import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { BaseService, type Run, type ServiceContext } from '@mgpu/core';
import type { CustomNodesConfig } from './config.ts';
import { type NodeList, readNodeList } from './node-list/read-list.ts';
import { NodeManager, type NodeManagerOptions } from './node-manager.ts';
import type { NodesReport } from './report.ts';
import { type NodeResult, reportOf } from './report.ts';
import type { NodeSite } from './site.ts';

/**
 * Brings the custom nodes of a site to what its list says, and is completed. Nodes that fail are told in the log and in
 * `report`; they are no failure of the service. Where nothing is to be done, the site is not changed.
 */
export class CustomNodesService extends BaseService<Omit<CustomNodesConfig, 'enabled'>> {
  readonly #site: NodeSite;
  #report: NodesReport | undefined;

  constructor(config: Omit<CustomNodesConfig, 'enabled'>, context: ServiceContext, site: NodeSite) {
    super(config, context);
    this.#site = site;
  }

  /** What became of the nodes at the last start; undefined before it, and without a list. */
  get report(): NodesReport | undefined {
    return this.#report;
  }

  protected override async onStart(run: Run): Promise<void> {
    this.#report = undefined;
    const { context, config, id } = this;
    const path = listPath(config, context);
    const list = await readListFile(path);
    run.signal.throwIfAborted();
    if (!list) {
      context.log.info(`there is no list of custom nodes at ${path}`, { instance: id });
      return run.complete();
    }
    for (const warning of list.warnings) context.log.warn(`${path}: ${warning}`, { instance: id });
    const report = await this.#apply(list, run.signal);
    run.signal.throwIfAborted();
    this.#report = report;
    const failed = report.nodes.filter(({ status }) => status === 'failed').map(({ name }) => name);
    if (failed.length > 0) {
      context.log.warn(`custom nodes: ${report.summary} (${failed.join(', ')})`, { instance: id });
      run.setHealth('degraded', report.summary);
    } else context.log.info(`custom nodes: ${report.summary}`, { instance: id });
    run.complete();
  }

  async #apply(list: NodeList, signal: AbortSignal): Promise<NodesReport> {
    const { update, allow, scripts, concurrency, attempts } = this.config;
    const { env, clock, log } = this.context;
    const options: NodeManagerOptions = { env, clock, log, signal, allow, scripts, concurrency, attempts };
    const plan = await new NodeManager(await this.#site.current(), options).plan(list, { update });
    if (!plan.isSettled) {
      return await this.#site.change((target) => new NodeManager(target, options).apply(list, { update }));
    }
    const nodes = plan.nodes.map(({ name, action, from, blocked, isRemembered, notes }): NodeResult => {
      const commit = from === undefined ? {} : { from, commit: from };
      const error = blocked ? { error: blocked } : {};
      const told = isRemembered ? { isRemembered } : {};
      return { name, action, status: blocked ? 'failed' : 'skipped', ...commit, ...error, ...told, notes };
    });
    for (const { name, error } of nodes) if (error) log.warn(`custom node ${name} failed: ${error.message}`, { error });
    return reportOf(nodes, { packages: [], warnings: plan.warnings });
  }
}

export const listPath = (
  { list }: Pick<CustomNodesConfig, 'list'>,
  { layout }: Pick<ServiceContext, 'layout'>,
): string => list ?? join(layout.shared, 'config_nodes.json');

/** Undefined when there is no such file. Throws `NODES_LIST_INVALID`. */
export async function readListFile(path: string): Promise<NodeList | undefined> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  return text === undefined ? undefined : readNodeList(text, path);
}
