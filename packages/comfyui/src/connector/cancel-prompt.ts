import { type Clock, deadline, type Logger, reportError } from '@mgpu/core/jobs';
import type { ComfyUIClient } from '../client/comfyui-client.ts';
import { isEngineTrouble } from './engine-trouble.ts';

const pauseMs = { first: 20, most: 500 };

/** Tells the engine to drop a prompt, whether it waits or runs. An interrupt before its first node is lost. */
export async function dropPrompt(client: ComfyUIClient, promptId: string, signal: AbortSignal): Promise<void> {
  await Promise.all([client.deletePending([promptId], { signal }), client.interrupt(promptId, { signal })]);
}

/**
 * Takes a prompt out of the engine and sees it gone, asking again until it is. What runs on after `withinMs` is left to
 * end by itself. Until `after` has settled, the prompt may yet arrive.
 */
export async function cancelPrompt(
  client: ComfyUIClient,
  promptId: string,
  options: { clock: Clock; log: Logger; withinMs: number; after: Promise<unknown> | undefined },
): Promise<void> {
  const { clock, log, withinMs, after } = options;
  let mayArrive = after !== undefined;
  const settled = () => {
    mayArrive = false;
  };
  after?.then(settled, settled);
  let problem = `it still ran after ${withinMs} ms`;
  using limit = deadline(clock, withinMs, () => new DOMException(problem, 'TimeoutError'));
  const { signal } = limit;
  try {
    for (let pause = pauseMs.first; ; pause = Math.min(pause * 2, pauseMs.most)) {
      try {
        const isLastLook = !mayArrive;
        await dropPrompt(client, promptId, signal);
        const { running, pending } = await client.queue({ signal });
        if (isLastLook && ![...running, ...pending].some((each) => each.promptId === promptId)) return;
      } catch (error) {
        if (!isEngineTrouble(error)) throw error;
        problem = error.message;
      }
      await clock.sleep(pause, { signal });
    }
  } catch (error) {
    // The job ends as cancelled all the same.
    log.warn(`prompt ${promptId} could not be seen to end: ${reportError(error).message}`);
  }
}
