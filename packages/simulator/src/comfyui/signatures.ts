import { createHash } from 'node:crypto';
import { isLink, type Prompt } from './graph.ts';
import type { NodeClass, NodeWorld } from './nodes/node.ts';

/**
 * What decides the result of each node: its class, literal inputs and fingerprint, and the same of everything before it.
 * Node ids are no part of it, so that a renumbered prompt is served from the cache as well.
 */
export async function signatures(
  graph: Prompt,
  nodes: ReadonlyMap<string, NodeClass>,
  world: NodeWorld,
): Promise<Map<string, string>> {
  const known = new Map<string, string>();
  const signature = async (id: string): Promise<string> => {
    const done = known.get(id);
    if (done !== undefined) return done;
    // Stays for a cycle or a dangling link in a part of the graph that will not run.
    known.set(id, `unknown ${id}`);
    const node = graph[id];
    const nodeClass = node === undefined ? undefined : nodes.get(node.class_type);
    if (node === undefined || nodeClass === undefined) return `unknown ${id}`;
    const parts: unknown[] = [node.class_type, await fingerprint(nodeClass, node.inputs ?? {}, world)];
    for (const name of Object.keys(node.inputs ?? {}).sort()) {
      const value = node.inputs[name];
      parts.push(name, isLink(value) ? [await signature(value[0]), value[1]] : { value });
    }
    const text = createHash('sha1').update(JSON.stringify(parts)).digest('base64');
    known.set(id, text);
    return text;
  };
  for (const id of Object.keys(graph)) await signature(id);
  return known;
}

async function fingerprint(nodeClass: NodeClass, inputs: Record<string, unknown>, world: NodeWorld): Promise<string> {
  try {
    return (await nodeClass.fingerprint?.(inputs, world)) ?? '';
  } catch {
    return `changed ${performance.now()}`;
  }
}
