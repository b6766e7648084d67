import type { ChatRequest, EmbedRequest, GenerateRequest } from '../client/types.ts';
import { OllamaInputInvalidError } from '../errors.ts';
import type { ReadJobInput } from './job-input.ts';
import { readImages } from './read-images.ts';

/** A job as the request it is. */
export type Request =
  | { readonly kind: 'generate'; readonly body: GenerateRequest }
  | { readonly kind: 'chat'; readonly body: ChatRequest }
  | { readonly kind: 'embed'; readonly body: EmbedRequest };

/** With the default model where none is named, and the pictures read. Throws `OLLAMA_INPUT_INVALID` and `OLLAMA_IMAGE`. */
export async function requestOf(
  { generate, chat, embed }: ReadJobInput,
  defaultModel: string | undefined,
): Promise<Request> {
  const model = (generate ?? chat ?? embed)?.model ?? defaultModel;
  if (model === undefined) {
    const problems = ['model: none is named, and the server has no default (services.ollama.defaultModel)'];
    throw new OllamaInputInvalidError({ problems });
  }
  if (generate) {
    const { images, ...rest } = generate;
    return { kind: 'generate', body: { ...rest, model, ...(images ? { images: await readImages(images) } : {}) } };
  }
  if (chat) {
    const messages = chat.messages.map(async ({ images, ...message }) => ({
      ...message,
      ...(images ? { images: await readImages(images) } : {}),
    }));
    return { kind: 'chat', body: { ...chat, model, messages: await Promise.all(messages) } };
  }
  return { kind: 'embed', body: { ...embed, model, input: embed?.input ?? [] } };
}
