import { WorkflowSync } from '../src/index.ts';

/** Brings a folder and a repository in step once; returns what somebody should look at. */
export async function syncOnce(dir: string, url: string, machine: string): Promise<string[]> {
  const sync = new WorkflowSync({ dir, url, machine, env: () => process.env });
  const { committed, received, pushed, conflicts, problem } = await sync.sync();
  console.log({ committed, received, pushed });
  return [
    ...conflicts.map(({ path, copy }) => `${path} was changed on both sides; ours is ${copy ?? 'removed'}`),
    ...(problem ? [`${problem.message} (${problem.hint})`] : []), // nothing is lost: the next pass goes on
  ];
}
