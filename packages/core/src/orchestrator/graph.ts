import { DependencyCycleError } from '../errors/core-errors.ts';

/** Nodes by id with the ids each waits for. */
export type Graph = ReadonlyMap<string, readonly string[]>;

/** Throws `CORE_DEPENDENCY_CYCLE` naming the circle. */
export function expectNoCycle(graph: Graph): void {
  const done = new Set<string>();
  const path: string[] = [];
  const visit = (node: string) => {
    if (done.has(node)) return;
    const start = path.indexOf(node);
    if (start >= 0) throw new DependencyCycleError({ cycle: [...path.slice(start), node] });
    path.push(node);
    for (const next of graph.get(node) ?? []) visit(next);
    path.pop();
    done.add(node);
  };
  for (const node of graph.keys()) visit(node);
}

/** The same nodes with the edges turned around: who waits for each. */
export function reverse(graph: Graph): Map<string, string[]> {
  const reversed = new Map<string, string[]>([...graph.keys()].map((node) => [node, []]));
  for (const [node, dependencies] of graph) for (const each of dependencies) reversed.get(each)?.push(node);
  return reversed;
}

/** The graph of these nodes alone: whom each waits for among them, be it by way of others. */
export function between(graph: Graph, nodes: ReadonlySet<string>): Graph {
  const reach = (node: string): string[] =>
    (graph.get(node) ?? []).flatMap((next) => (nodes.has(next) ? [next] : reach(next)));
  return new Map([...nodes].map((node) => [node, [...new Set(reach(node))]]));
}

/** Runs `visit` on every node as soon as all it waits for has settled; independent nodes run at the same time. */
export async function walk(graph: Graph, visit: (node: string) => Promise<void>): Promise<void> {
  const running = new Map<string, Promise<void>>();
  const enter = (node: string): Promise<void> => {
    const started = running.get(node) ?? Promise.all((graph.get(node) ?? []).map(enter)).then(() => visit(node));
    running.set(node, started);
    return started;
  };
  await Promise.all([...graph.keys()].map(enter));
}

/** The nodes in an order in which each comes after all it waits for. */
export function topological(graph: Graph): string[] {
  const order = new Set<string>();
  const visit = (id: string) => {
    if (order.has(id)) return;
    for (const each of graph.get(id) ?? []) visit(each);
    order.add(id);
  };
  for (const id of graph.keys()) visit(id);
  return [...order];
}
