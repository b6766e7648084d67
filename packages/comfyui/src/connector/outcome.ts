import type { ComfyUIClient } from '../client/comfyui-client.ts';
import type { ExecutionError, HistoryEntry, NodeOutput } from '../client/types.ts';

/** How a prompt ended in the engine. */
export type Outcome =
  | { readonly end: 'success'; readonly outputs: Readonly<Record<string, NodeOutput>> }
  | { readonly end: 'error'; readonly error: Partial<ExecutionError> }
  | { readonly end: 'interrupted'; readonly node: string };

/** Where a prompt is. `unknown`: the engine has never heard of it, or forgot it. */
export type Place = 'pending' | 'running' | 'unknown' | Outcome;

/** Asks the history and the queue, which are the truth. */
export async function locatePrompt(client: ComfyUIClient, promptId: string, signal: AbortSignal): Promise<Place> {
  const known = await client.history(promptId, { signal });
  if (known) return outcomeOf(known);
  const { running, pending } = await client.queue({ signal });
  if (running.some((each) => each.promptId === promptId)) return 'running';
  if (pending.some((each) => each.promptId === promptId)) return 'pending';
  // It may have ended between the two questions.
  const ended = await client.history(promptId, { signal });
  return ended ? outcomeOf(ended) : 'unknown';
}

function outcomeOf({ outputs, status }: HistoryEntry): Outcome {
  const told = (event: string) => status.messages.findLast(([type]) => type === event)?.[1];
  const interrupted = told('execution_interrupted');
  if (interrupted) return { end: 'interrupted', node: String(interrupted.node_id) };
  const error = told('execution_error');
  if (error || status.status_str === 'error') return { end: 'error', error: error ?? {} };
  return { end: 'success', outputs };
}
