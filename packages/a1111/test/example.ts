import { A1111Client, type A1111Options, A1111Service, type Generated, type GenerationRequest } from '../src/index.ts';

/** Starts an Automatic1111, e.g. `{ gpu: 0, dir: '/opt/stable-diffusion-webui' }`, and has it make pictures. */
export async function imagine(
  options: A1111Options,
  request: GenerationRequest,
  onPercent: (percent: number) => void = () => {},
): Promise<Generated> {
  const engine = new A1111Service(options);
  await engine.start(); // resolves when the API of this very process answers
  const client = new A1111Client(engine.endpoint);
  const ended = new AbortController();
  try {
    const pictures = client.txt2img(request).finally(() => ended.abort());
    pictures.catch(() => {}); // awaited below
    while (!ended.signal.aborted) {
      onPercent(Math.round((await client.progress()).fraction * 100));
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    return await pictures;
  } finally {
    await client.close();
    await engine.stop();
  }
}
