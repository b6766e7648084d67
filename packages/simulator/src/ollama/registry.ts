import { parseName, shortName } from './model-name.ts';
import type { OllamaSimulation } from './script.ts';
import { type Layer, type ModelConfig, sha256 } from './store.ts';

export const modelLayer = 'application/vnd.ollama.image.model';
export const configLayer = 'application/vnd.docker.container.image.v1+json';
export const templateLayer = 'application/vnd.ollama.image.template';

export interface RemoteLayer extends Layer {
  readonly content: Buffer;
}

/** What the registry has under a name: the same content at every pull. Undefined for a name that is unknown there. */
export function remoteModel(
  text: string,
  { unknown, layerBytes }: OllamaSimulation,
): { config: RemoteLayer; layers: RemoteLayer[] } | undefined {
  const name = shortName(parseName(text));
  if (unknown.some((each) => shortName(parseName(each)) === name)) return undefined;
  const weights = Buffer.alloc(layerBytes, Buffer.from(sha256(name), 'hex'));
  const config = configOf(name);
  return {
    config: layer(configLayer, Buffer.from(JSON.stringify(config))),
    layers: [layer(modelLayer, weights), layer(templateLayer, Buffer.from('{{ .Prompt }}'))],
  };
}

/** A model's abilities follow from its name, as people know them. */
export function configOf(name: string): ModelConfig {
  const can = (pattern: RegExp, ability: string) => (pattern.test(name) ? [ability] : []);
  const isEmbedder = /embed|minilm|bge/i.test(name);
  return {
    model_format: 'gguf',
    model_family: isEmbedder ? 'bert' : 'llama',
    model_type: '1B',
    file_type: 'Q4_0',
    capabilities: isEmbedder
      ? ['embedding']
      : [
          'completion',
          ...can(/./, 'tools'),
          ...can(/qwen3|deepseek-r1|gpt-oss/i, 'thinking'),
          ...can(/llava|vision|gemma3/i, 'vision'),
        ],
    context_length: 131_072,
  };
}

const layer = (mediaType: string, content: Buffer): RemoteLayer => ({
  mediaType,
  digest: `sha256:${sha256(content)}`,
  size: content.length,
  content,
});
