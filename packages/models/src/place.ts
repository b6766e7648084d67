import { basename, posix } from 'node:path';
import { PathRefusedError } from './errors.ts';

/** Where the predecessors' shared folder lay; in their files it stands for ours. */
const formerShared = '/workspace/shared/';
const trees = new Set(['models', 'sd_models']);

/**
 * A place for a model as a path below `shared`: what begins with `models/` or `sd_models/` is such a path already, everything
 * else lies in `tree` (default `models`). Throws `MODELS_PATH` for what leads elsewhere or would not be seen.
 */
export function modelPath(given: string, tree: 'models' | 'sd_models' = 'models'): string {
  const refuse = (problem: string) => new PathRefusedError({ path: given, problem });
  const below = given.startsWith(formerShared) ? given.slice(formerShared.length) : given;
  if (posix.isAbsolute(below)) throw refuse('it is not below the shared folder');
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  if (/[\u0000-\u001F\u007F\\]/.test(below)) throw refuse('it has characters that no name of a model needs');
  const parts = below.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..')) throw refuse('it leads upwards');
  const path = trees.has(parts[0] ?? '') ? parts : [tree, ...parts];
  if (path.length < 2) throw refuse('it names no file');
  if (path.some((part) => part.startsWith('.'))) throw refuse('names that begin with a dot are not shown');
  if (path.some((part) => Buffer.byteLength(part) > 200)) throw refuse('a name has more than 200 bytes');
  return path.join('/');
}

/** As people write it: without `models/`. */
export const shortPath = (path: string): string => path.replace(/^models\//, '');

/** A folder as far as a last component without a dot, or a closing slash, says so. */
export const isFolder = (path: string): boolean => path.endsWith('/') || !basename(path).includes('.');

/** The folder of models that a type or a file's name suggests, as the predecessors guessed, by today's names. */
export function folderFor(name: string, type = ''): string {
  const known: readonly (readonly [RegExp, string])[] = [
    [/vae/, 'vae'],
    [/clip[_-]?vision/, 'clip_vision'],
    [/clip|t5xxl|text[_-]?encoder/, 'text_encoders'],
    [/control/, 'controlnet'],
    [/upscal|esrgan/, 'upscale_models'],
    [/lora|locon|dora/, 'loras'],
    [/embedding|textualinversion/, 'embeddings'],
    [/unet|diffusion[_-]?model/, 'diffusion_models'],
    [/hypernetwork/, 'hypernetworks'],
    [/checkpoint/, 'checkpoints'],
  ];
  const guess = (text: string) => known.find(([pattern]) => pattern.test(text.toLowerCase()))?.[1];
  return guess(type) ?? guess(name) ?? 'checkpoints';
}
