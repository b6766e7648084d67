import { readFile } from 'node:fs/promises';
import { applyToSite, checkoutSite, NodeManager, readNodeList } from '../src/index.ts';

/** Brings the custom nodes of a ComfyUI, e.g. `/opt/ComfyUI`, to what a list says; returns what failed and why. */
export async function bringNodes(dir: string, list: string): Promise<string[]> {
  const site = checkoutSite(dir, { env: process.env }); // uses its venv, where there is one
  const nodes = readNodeList(await readFile(list, 'utf8'), list);
  const plan = await new NodeManager(await site.current(), { env: process.env }).plan(nodes);
  for (const { name, action, from, to } of plan.nodes) console.log(name, action, from ?? '', to ?? '');
  const report = await applyToSite(site, nodes, { env: process.env });
  console.log(report.summary); // 12 nodes: 4 done, 8 failed, 4 packages changed
  return report.nodes.flatMap(({ error }) => (error ? [`${error.message} (${error.hint})`] : []));
}
