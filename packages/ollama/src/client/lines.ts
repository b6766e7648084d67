import { OllamaBadAnswerError } from '../errors.ts';
import { maxBytes } from './transport.ts';

/** The lines of an answer as they come, empty ones left out; `OLLAMA_BAD_ANSWER` for one over 256 MB. */
export async function* linesOf(body: AsyncIterable<Uint8Array>, url: string): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of bounded(body, url)) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) if (line !== '') yield line;
  }
  if (rest.trim() !== '') yield rest;
}

async function* bounded(body: AsyncIterable<Uint8Array>, url: string): AsyncGenerator<Uint8Array> {
  let size = 0;
  for await (const chunk of body) {
    const newline = chunk.lastIndexOf(10);
    size = newline < 0 ? size + chunk.length : chunk.length - newline;
    if (size > maxBytes) break;
    yield chunk;
  }
  if (size > maxBytes) throw new OllamaBadAnswerError({ url, problem: 'it is over 256 MB' });
}
