import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { BaseService, gitEnvironment, type Run, type ServiceContext } from '@mgpu/core';
import type { CustomNodesConfig } from './config.ts';
import type { NodesReport } from './report.ts';
import type { NodeSite } from './site.ts';

/**
 * Brings the custom nodes of a site to what its list says, and is completed. Nodes that fail are told in the log and in
 * `report`; they are no failure of the service. Where nothing is to be done, the site is not changed.
 */
export class CustomNodesService extends BaseService<Omit<CustomNodesConfig, 'enabled'>> {
  readonly #site: NodeSite | undefined;
  readonly #variables: ServiceContext['env'];
  #report: NodesReport | undefined;

  /** Without a site there is nothing to do. `variables` are what `${VAR}` in an `.env` stands for. */
  constructor(
    config: Omit<CustomNodesConfig, 'enabled'>,
    context: ServiceContext,
    site: NodeSite | undefined,
    variables: ServiceContext['env'] = context.env,
  ) {
    super(config, context);
    this.#site = site;
    this.#variables = variables;
  }

  /** What became of the nodes at the last start; undefined before it, and without a list. */
  get report(): NodesReport | undefined {
    return this.#report;
  }

  protected override async onStart(run: Run): Promise<void> {
    this.#report = undefined;
    const { context, config, id } = this;
    const path = listPath(config, context);
    const site = this.#site;
    if (!site || !existsSync(path)) {
      const why = site ? `there is no list at ${path}` : 'there is no ComfyUI to bring any to';
      context.log.info(`custom nodes: ${why}`, { instance: id });
      return run.complete();
    }
    // Git, installers and parsers are nothing that each start of a machine should load.
    const { applyToSite, readListFile } = await import('./loaded-on-demand.ts');
    const list = await readListFile(path);
    run.signal.throwIfAborted();
    for (const warning of list.warnings) context.log.warn(`${path}: ${warning}`, { instance: id });
    const { update, allow, scripts, concurrency, attempts } = config;
    const { layout, clock, log } = context;
    const env = gitEnvironment(layout, context.env);
    const variables = this.#variables;
    const options = { env, variables, clock, log, signal: run.signal, allow, scripts, concurrency, attempts };
    const report = await applyToSite(site, list, options, { update });
    run.signal.throwIfAborted();
    this.#report = report;
    const failed = report.nodes.filter(({ status }) => status === 'failed').map(({ name }) => name);
    if (failed.length > 0) {
      context.log.warn(`custom nodes: ${report.summary} (${failed.join(', ')})`, { instance: id });
      run.setHealth('degraded', report.summary);
    } else context.log.info(`custom nodes: ${report.summary}`, { instance: id });
    run.complete();
  }
}

export const listPath = (
  { list, testMode }: Pick<CustomNodesConfig, 'list' | 'testMode'>,
  { layout }: Pick<ServiceContext, 'layout'>,
): string => list ?? join(layout.shared, testMode ? 'config_nodes_test.json' : 'config_nodes.json');
