import { silentLogger } from '@mgpu/core';
import type { NodeList } from './node-list/read-list.ts';
import { type ApplyOptions, NodeManager, type NodeManagerOptions } from './node-manager.ts';
import { type NodesPlan, type NodesReport, reportOf, resultOf } from './report.ts';
import type { NodeSite } from './site.ts';

/** Brings the nodes of a site to what a list says; where nothing is to be done, the site is not changed. Throws as both. */
export async function applyToSite(
  site: NodeSite,
  list: NodeList,
  options: NodeManagerOptions,
  how: ApplyOptions = {},
): Promise<NodesReport> {
  const { onProgress: _, ...plan } = how;
  const planned = await new NodeManager(await site.current(), options).plan(list, plan);
  if (planned.isSettled) return reportOfPlan(planned, options);
  const { signal } = options;
  return site.change(
    async (target) => {
      const result = await new NodeManager(target, options).apply(list, how);
      const isChanged = result.packages.length > 0 || result.nodes.some(({ status }) => status === 'done');
      return { result, isChanged };
    },
    { signal },
  );
}

/** Of what needs no apply: everything is as it should be, or fails as it did before. */
function reportOfPlan({ nodes, warnings }: NodesPlan, { log = silentLogger }: NodeManagerOptions): NodesReport {
  const results = nodes.map((node) => {
    const { name, from: commit, blocked: error, notes } = node;
    if (error) log.warn(`custom node ${name} failed: ${error.message}`, { error });
    return resultOf(node, { commit, isChanged: false, error, notes });
  });
  return reportOf(results, { packages: [], warnings });
}
