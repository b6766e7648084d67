import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { notFound } from './api-error.ts';
import { type ModelName, manifestPath, parseName, shortName } from './model-name.ts';

export interface Layer {
  readonly mediaType: string;
  /** `sha256:<64 hex>`. */
  readonly digest: string;
  readonly size: number;
}

export interface Manifest {
  readonly schemaVersion: 2;
  readonly mediaType: string;
  readonly config: Layer;
  readonly layers: readonly Layer[];
}

/** What the configuration layer of a model says. */
export interface ModelConfig {
  readonly model_format: string;
  readonly model_family: string;
  readonly model_type: string;
  readonly file_type: string;
  readonly capabilities: readonly string[];
  readonly context_length: number;
}

export interface StoredModel {
  readonly name: string;
  readonly digest: string;
  readonly size: number;
  readonly modifiedAt: Date;
  readonly manifest: Manifest;
  readonly config: ModelConfig;
}

export const sha256 = (content: Uint8Array | string) => createHash('sha256').update(content).digest('hex');

/** Models on disk, in Ollama's own layout: `blobs/sha256-<hex>` and `manifests/<host>/<namespace>/<model>/<tag>`. */
export class ModelStore {
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
  }

  prepare(): void {
    mkdirSync(join(this.#root, 'blobs'), { recursive: true });
    mkdirSync(join(this.#root, 'manifests'), { recursive: true });
  }

  blobPath(digest: string): string {
    return join(this.#root, 'blobs', digest.replace(':', '-'));
  }

  hasBlob(digest: string): boolean {
    return existsSync(this.blobPath(digest));
  }

  /** The layer of this content, which is stored unless it is there. */
  addBlob(mediaType: string, content: Uint8Array): Layer {
    const digest = `sha256:${sha256(content)}`;
    if (!this.hasBlob(digest)) writeFileSync(this.blobPath(digest), content);
    return { mediaType, digest, size: content.length };
  }

  /** Removes blobs that no manifest names; what was half pulled is among them. */
  prune(): number {
    const used = new Set(
      this.list().flatMap(({ manifest }) => digestsOf(manifest).map((each) => each.replace(':', '-'))),
    );
    const unused = readdirSync(join(this.#root, 'blobs')).filter((name) => !used.has(name));
    for (const name of unused) rmSync(join(this.#root, 'blobs', name));
    return unused.length;
  }

  /** Newest first. */
  list(): StoredModel[] {
    const manifests = join(this.#root, 'manifests');
    const files = readdirSync(manifests, { recursive: true, withFileTypes: true }).filter((each) => each.isFile());
    const models = files.map(({ parentPath, name: tag }) => {
      const [host = '', namespace = '', model = ''] = relative(manifests, parentPath).split(sep);
      return this.#read({ host, namespace, model, tag });
    });
    return models.toSorted((a, b) => b.modifiedAt.getTime() - a.modifiedAt.getTime());
  }

  /** Throws 404, and 400 for what is no name. */
  get(text: string): StoredModel {
    const name = parseName(text);
    if (!existsSync(manifestPath(this.#root, name))) throw notFound(text);
    return this.#read(name);
  }

  write(text: string, { config, layers }: Pick<Manifest, 'config' | 'layers'>): void {
    const path = manifestPath(this.#root, parseName(text));
    const mediaType = 'application/vnd.docker.distribution.manifest.v2+json';
    mkdirSync(dirname(path), { recursive: true });
    // A list must never read half of one.
    const draft = join(this.#root, `.manifest-${process.pid}`);
    writeFileSync(draft, JSON.stringify({ schemaVersion: 2, mediaType, config, layers } satisfies Manifest));
    renameSync(draft, path);
  }

  /** With the blobs that no other model has. */
  delete(text: string): void {
    const { manifest } = this.get(text);
    rmSync(manifestPath(this.#root, parseName(text)));
    const used = new Set(this.list().flatMap((each) => digestsOf(each.manifest)));
    for (const digest of digestsOf(manifest)) if (!used.has(digest)) rmSync(this.blobPath(digest), { force: true });
  }

  #read(name: ModelName): StoredModel {
    const path = manifestPath(this.#root, name);
    const text = readFileSync(path, 'utf8');
    const manifest = JSON.parse(text) as Manifest;
    const layers = [manifest.config, ...manifest.layers];
    return {
      name: shortName(name),
      digest: sha256(text),
      size: layers.reduce((sum, { size }) => sum + size, 0),
      modifiedAt: statSync(path).mtime,
      manifest,
      config: JSON.parse(readFileSync(this.blobPath(manifest.config.digest), 'utf8')) as ModelConfig,
    };
  }
}

const digestsOf = ({ config, layers }: Manifest) => [config, ...layers].map(({ digest }) => digest);
