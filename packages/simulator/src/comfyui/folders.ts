import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join, resolve, sep } from 'node:path';
import { type ExtraModelPath, readExtraModelPaths } from './extra-model-paths.ts';
import type { Options } from './options.ts';

export type FolderType = 'output' | 'input' | 'temp';

const MODEL_TYPES =
  'checkpoints configs loras vae text_encoders diffusion_models clip_vision style_models embeddings diffusers vae_approx controlnet gligen upscale_models latent_upscale_models custom_nodes hypernetworks photomaker classifiers model_patches audio_encoders'.split(
    ' ',
  );
const MODEL_FILE = /\.(ckpt|pt2?|bin|pth|safetensors|pkl|sft|gguf)$/;
const RENAMED: Record<string, string> = { unet: 'diffusion_models', clip: 'text_encoders' };

/** The folders of one running server. */
export class Folders {
  readonly #options: Options;
  readonly #modelPaths = new Map<string, string[]>();
  readonly extra: readonly ExtraModelPath[];

  /** Reads the extra-model-paths files, which must exist; makes nothing yet. */
  constructor(options: Options) {
    this.#options = options;
    for (const type of MODEL_TYPES) {
      this.#modelPaths.set(type, [
        type === 'custom_nodes' ? join(options.baseDirectory, type) : join(options.modelsDirectory, type),
      ]);
    }
    this.extra = options.extraModelPaths.flatMap(readExtraModelPaths);
    for (const { type, path, isDefault } of this.extra) {
      const known = this.#modelPaths.get(RENAMED[type] ?? type) ?? [];
      this.#modelPaths.set(RENAMED[type] ?? type, isDefault ? [path, ...known] : [...known, path]);
    }
  }

  /** Wipes the temp folder and makes the others, as every start of the server does. */
  prepare(): void {
    this.wipeTemp();
    for (const folder of [
      this.#options.outputDirectory,
      this.#options.inputDirectory,
      this.#options.tempDirectory,
      this.#options.userDirectory,
    ]) {
      mkdirSync(folder, { recursive: true });
    }
  }

  wipeTemp(): void {
    rmSync(this.#options.tempDirectory, { recursive: true, force: true });
  }

  byType(type: FolderType): string;
  byType(type: string): string | undefined;
  byType(type: string): string | undefined {
    if (type === 'output') return this.#options.outputDirectory;
    if (type === 'input') return this.#options.inputDirectory;
    return type === 'temp' ? this.#options.tempDirectory : undefined;
  }

  /** Root and plain name of `name [output]`, `name [temp]`, `name [input]`; the root is undefined without a suffix. */
  annotated(name: string): { root: string | undefined; name: string } {
    const match = /^(.*) ?\[(output|input|temp)\]$/.exec(name);
    return match === null
      ? { root: undefined, name }
      : { root: this.byType(match[2] as FolderType), name: (match[1] as string).trimEnd() };
  }

  /** Path of a possibly annotated file, in `input` by default; undefined when it points out of its folder. */
  annotatedFile(annotatedName: string): string | undefined {
    const { root = this.#options.inputDirectory, name } = this.annotated(annotatedName);
    const path = resolve(root, name);
    return isInside(root, path) ? path : undefined;
  }

  inputFiles(): string[] {
    return listFiles(this.#options.inputDirectory, false).sort();
  }

  modelTypes(): string[] {
    return [...this.#modelPaths.keys()];
  }

  modelPaths(type: string): readonly string[] | undefined {
    return this.#modelPaths.get(type);
  }

  /** Model files of one type, relative to their folder. */
  models(type: string): string[] {
    return (this.#modelPaths.get(type) ?? []).flatMap((folder) =>
      listFiles(folder, true).filter((file) => MODEL_FILE.test(file)),
    );
  }
}

/** True for the folder itself and everything below it; both paths are resolved already. */
export const isInside = (root: string, path: string): boolean => path === root || path.startsWith(root + sep);

/** Plain files below a folder; a missing folder has none. */
export function listFiles(folder: string, recursive: boolean): string[] {
  try {
    const entries = readdirSync(folder, { withFileTypes: true, recursive });
    return entries
      .filter((entry) => !entry.isDirectory())
      .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1));
  } catch {
    return [];
  }
}
