import { randomUUID } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import { ComfyUIClient, type ComfyUIOptions, ComfyUIService, type EngineFile, type PromptGraph } from '../src/index.ts';

/** Starts a ComfyUI, e.g. `{ gpu: 0, dir: '/opt/ComfyUI' }`, and returns the pictures that node 3 of a workflow saves. */
export async function render(options: ComfyUIOptions, workflow: PromptGraph): Promise<Uint8Array[]> {
  const engine = new ComfyUIService(options);
  await engine.start(); // resolves when this very process answers
  const client = new ComfyUIClient(engine.endpoint);
  try {
    const clientId = randomUUID();
    const events = await client.events(clientId);
    const { promptId } = await client.submit(workflow, { clientId });
    for await (const event of events) {
      // Comes last, however the prompt ended.
      if (event.type === 'executing' && event.data.node === null && event.data.prompt_id === promptId) break;
    }
    const ended = await client.history(promptId);
    if (!ended?.status.completed) throw new Error(JSON.stringify(ended?.status.messages.at(-1)));
    const pictures: Uint8Array[] = [];
    for (const file of (ended.outputs['3']?.images ?? []) as EngineFile[]) {
      pictures.push(await buffer((await client.view(file)).body));
    }
    return pictures;
  } finally {
    await client.close();
    await engine.stop();
  }
}
