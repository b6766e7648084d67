import { lstat, realpath } from 'node:fs/promises';
import { basename, join, resolve, sep } from 'node:path';
import { type Endpoint, ignoreMissing, type ProducedFile } from '@mgpu/core/jobs';
import type { ComfyUIClient } from '../client/comfyui-client.ts';
import type { EngineFile, NodeOutput } from '../client/types.ts';
import { ComfyUIFileMissingError } from '../errors.ts';

const maxFolders = 1_000;

type Outputs = Readonly<Record<string, NodeOutput>>;

/** A file with the node and the output key it came from. */
export interface FoundFile extends EngineFile {
  readonly node: string;
  readonly key: string;
}

/** Takes outputs apart: under any key, items that name a file are files; all else is kept as it is. */
export function sortOutputs(outputs: Outputs): { files: FoundFile[]; rest: Record<string, Record<string, unknown>> } {
  const files = new Map<string, FoundFile>();
  const rest: Record<string, Record<string, unknown>> = {};
  for (const [node, output] of Object.entries(outputs)) {
    for (const [key, value] of Object.entries(output)) {
      const items = Array.isArray(value) ? value : [value];
      const found = items.filter(isFile);
      for (const { filename, subfolder = '', type } of found) {
        const id = `${type}/${subfolder}/${filename}`;
        if (type !== 'input' && !files.has(id)) files.set(id, { filename, subfolder, type, node, key });
      }
      const others = items.filter((item) => !isFile(item));
      if (others.length > 0) rest[node] = { ...rest[node], [key]: Array.isArray(value) ? others : value };
    }
  }
  return { files: [...files.values()], rest };
}

function isFile(item: unknown): item is { filename: string; subfolder?: string; type: EngineFile['type'] } {
  if (typeof item !== 'object' || item === null) return false;
  const { filename, subfolder, type } = item as Record<string, unknown>;
  const isPlace = type === 'output' || type === 'temp' || type === 'input';
  return (
    typeof filename === 'string' &&
    filename !== '' &&
    isPlace &&
    (subfolder === undefined || typeof subfolder === 'string')
  );
}

/** Where the engine's files are read: on this machine from its folders, else from the engine itself. */
export class FileReader {
  readonly #client: ComfyUIClient;
  readonly #local: Endpoint['local'];
  readonly #folders = new Map<string, Promise<string | undefined>>();

  constructor(client: ComfyUIClient, local: Endpoint['local']) {
    this.#client = client;
    this.#local = local;
  }

  /** What a store needs to copy it; `path` as `locate` found it. */
  async read(file: FoundFile, path: string | undefined, signal: AbortSignal): Promise<ProducedFile> {
    return {
      name: file.subfolder === '' ? file.filename : `${file.subfolder}/${file.filename}`,
      origin: { node: file.node, key: file.key },
      // Every request costs the engine time it has for jobs.
      source: path === undefined ? { stream: (await this.#client.view(file, { signal })).body } : { path },
    };
  }

  /**
   * Where a file lies on this machine. Undefined when the engine's folders are not here, or something leads out of them:
   * then the engine is asked, which knows. `COMFYUI_FILE_MISSING` when they are here and the file is not.
   */
  async locate({ filename, subfolder, type }: EngineFile): Promise<string | undefined> {
    const folder = type === 'output' ? this.#local?.outputDir : this.#local?.tempDir;
    const root = folder === undefined ? undefined : await this.#real(folder);
    if (folder === undefined || root === undefined || basename(filename) !== filename) return undefined;
    const wanted = resolve(folder, subfolder);
    const parent = await this.#real(wanted);
    if (!isWithin(resolve(folder), wanted) || (parent !== undefined && !isWithin(root, parent))) return undefined;
    const path = join(parent ?? wanted, filename);
    const facts = await lstat(path).catch(ignoreMissing);
    if (facts === undefined) throw new ComfyUIFileMissingError({ file: path, url: this.#client.url.href });
    return facts.isFile() ? path : undefined;
  }

  /** Where a folder really is, asked once: looking at every part of a path for each file costs more than reading it. */
  async #real(folder: string): Promise<string | undefined> {
    const known = this.#folders.get(folder) ?? realpath(folder).catch(() => undefined); // an engine on another machine
    this.#folders.set(folder, known);
    const real = await known;
    // It may come to be with the first file; and a job that names folders of its own must not fill the memory.
    if (real === undefined || this.#folders.size > maxFolders) this.#folders.delete(folder);
    return real;
  }
}

const isWithin = (folder: string, path: string) => path === folder || path.startsWith(folder + sep);
