import { abortable, type Clock, deadline, type Logger, reportError } from '@mgpu/core/jobs';
import type { ComfyUIClient } from '../client/comfyui-client.ts';

const pauseMs = { first: 20, most: 500 };

/**
 * Takes a prompt out of the engine, whether it waits or runs, and sees it gone. Asks again, since an interrupt that comes
 * before the first node is lost. What runs on after `withinMs` is left to end by itself. Begins when `after` has settled.
 */
export async function cancelPrompt(
  client: ComfyUIClient,
  promptId: string,
  options: { clock: Clock; log: Logger; withinMs: number; after: Promise<unknown> | undefined },
): Promise<void> {
  const { clock, log, withinMs, after } = options;
  const late = () => new DOMException(`it still ran after ${withinMs} ms`, 'TimeoutError');
  using limit = deadline(clock, withinMs, late);
  const { signal } = limit;
  try {
    if (after) await abortable(after, signal);
    for (let pause = pauseMs.first; ; pause = Math.min(pause * 2, pauseMs.most)) {
      const { running, pending } = await client.queue({ signal });
      // Versions before 0.3.57 interrupt whatever runs: asked only while that is ours.
      if (running.some((each) => each.promptId === promptId)) await client.interrupt(promptId, { signal });
      else if (pending.some((each) => each.promptId === promptId)) await client.deletePending([promptId], { signal });
      else return;
      await clock.sleep(pause, { signal });
    }
  } catch (error) {
    // The job ends as cancelled all the same; an engine that is gone has nothing to cancel.
    log.warn(`prompt ${promptId} could not be seen to end: ${reportError(error).message}`);
  }
}
