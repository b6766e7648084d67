import { pyJson } from '../python/values.ts';

/** The text chunks that ComfyUI writes: the prompt, and each key of `extra_pnginfo`. */
export function textChunks(prompt: unknown, extraPngInfo: unknown): Record<string, string> {
  const chunks: Record<string, string> = { prompt: pyJson(prompt) };
  if (extraPngInfo !== null && typeof extraPngInfo === 'object') {
    for (const [key, value] of Object.entries(extraPngInfo)) chunks[key] = pyJson(value);
  }
  return chunks;
}
