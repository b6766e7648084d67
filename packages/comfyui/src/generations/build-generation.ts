import { mkdir, readdir, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { ignoreMissing, type Logger, linkTree, versionedFile } from '@mgpu/core';
import { Git } from '@mgpu/core/git';
import { PythonEnvironment, type PythonOptions, pinTorch, torchSources } from '@mgpu/core/python';
import { z } from 'zod';
import { GenerationBrokenError } from '../errors.ts';
import { extras } from './extras.ts';
import { type Generation, generationFolders, readGeneration, writeGeneration } from './generation.ts';
import type { GenerationStore } from './generation-store.ts';
import { isSameEngine, isSameRecipe, type Recipe, recipeSchema } from './recipe.ts';
import { verifyGeneration } from './verify-generation.ts';

/** What a node manager works on. */
export interface GenerationParts {
  /** The checkout. */
  readonly checkout: string;
  /** Folder of custom nodes. */
  readonly nodes: string;
  /** Folder for what a node manager keeps of it. */
  readonly state: string;
  readonly python: PythonEnvironment;
  /** Requirement files of the engine itself. */
  readonly requirements: readonly string[];
}

/** Those of the generation in these folders. */
export function partsOf(
  { checkout, nodes, state, requirements }: ReturnType<typeof generationFolders>,
  python: PythonEnvironment,
): GenerationParts {
  return { checkout, nodes, state, python, requirements: [requirements] };
}

/** A change of the custom nodes that is to be made in a generation. */
export interface NodeChange {
  /** Names what is asked for: a draft that was interrupted is gone on with for the same only. */
  readonly request: string;
  /**
   * Makes it, or goes on with it. Returns a name for the state of the nodes then; undefined when nothing of it is to stay. What
   * it rejects with ends the build.
   */
  apply(parts: GenerationParts): Promise<string | undefined>;
}

export type BuildStep = 'checkout' | 'environment' | 'torch' | 'requirements' | 'extras' | 'nodes' | 'verify';

export interface BuildProgress {
  readonly step: BuildStep;
  /** `done` and `skipped` end it; `running` comes at its begin and with each detail. */
  readonly state: 'running' | 'done' | 'skipped';
  /** What it is about just now, in words. */
  readonly detail?: string;
  /** Of the whole step, where that is known. */
  readonly percent?: number;
}

export interface BuildOptions {
  readonly store: GenerationStore;
  readonly recipe: Recipe;
  /** What it is made from: its files are used again as far as they fit. */
  readonly parent?: Generation | undefined;
  readonly nodes?: NodeChange | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly python: Pick<PythonOptions, 'installer' | 'sources'>;
  /** Whether torch has to find a GPU. */
  readonly expectGpu: () => Promise<boolean>;
  readonly startDeadlineMs: number;
  readonly log: Logger;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: BuildProgress) => void) | undefined;
}

const draftSchema = z.object({
  recipe: recipeSchema,
  parent: z.string().optional(),
  /** The change of nodes that it is made for. */
  request: z.string().optional(),
  done: z.array(z.string()),
  /** Name of the state that the change of nodes has made, once it has. */
  nodes: z.string().optional(),
});
type Draft = z.output<typeof draftSchema>;

/** Files from this size on are the same ones on disk as in the generation before; smaller ones may be edited by people. */
const linkedBytes = 1_000_000;

/**
 * Makes a generation, or goes on with one of the same recipe that was interrupted. Nothing uses it before it is whole and was
 * seen working. Throws what its steps throw: `CORE_GIT_*`, `CORE_PYTHON_MISSING`, `CORE_REQUIREMENTS_CONFLICT`,
 * `CORE_PACKAGES_FAILED`, `COMFYUI_GENERATION_BROKEN`, and what the change of nodes throws; it can be gone on with then.
 * Undefined when nothing of that change is to stay.
 */
export async function buildGeneration(options: BuildOptions): Promise<Generation | undefined> {
  const { store, recipe } = options;
  const dir = await resumable(options);
  const build = new Build(dir ?? store.folder(await store.nextId(recipe.commit)), options);
  return build.run();
}

/** Of the same recipe, from the same parent, for the same change of nodes. */
async function resumable({ store, recipe, parent, nodes }: BuildOptions): Promise<string | undefined> {
  for (const dir of await store.drafts()) {
    const draft = draftFile(dir).read();
    if (!draft || draft.parent !== parent?.id || draft.request !== nodes?.request) continue;
    if (isSameRecipe(draft.recipe, recipe)) return dir;
  }
  return undefined;
}

const draftFile = (dir: string) => versionedFile<Draft>(generationFolders(dir).draft, 1, draftSchema);

class Build {
  readonly #folders: ReturnType<typeof generationFolders>;
  readonly #options: BuildOptions;
  #step: BuildStep = 'checkout';

  constructor(dir: string, options: BuildOptions) {
    this.#folders = generationFolders(dir);
    this.#options = options;
  }

  async run(): Promise<Generation | undefined> {
    const { recipe, parent, nodes } = this.#options;
    const { dir } = this.#folders;
    await mkdir(dir, { recursive: true });
    const file = draftFile(dir);
    let draft: Draft = file.read() ?? {
      recipe,
      ...(parent ? { parent: parent.id } : {}),
      ...(nodes ? { request: nodes.request } : {}),
      done: [],
    };
    await file.write(draft);
    const isEngineThere = parent !== undefined && isSameEngine(parent.recipe, recipe);
    const steps: readonly [BuildStep, (() => Promise<void>) | undefined][] = [
      ['checkout', () => this.#checkOut()],
      ['environment', () => this.#makeEnvironment()],
      ['torch', this.#hasTorchOfParent() ? undefined : () => this.#installTorch()],
      ['requirements', isEngineThere ? undefined : () => this.#installRequirements()],
      ['extras', isEngineThere || recipe.extras.length === 0 ? undefined : () => this.#installExtras()],
    ];
    for (const [step, work] of steps) {
      if (!work || draft.done.includes(step)) {
        this.#options.onProgress?.({ step, state: 'skipped' });
        continue;
      }
      await this.#run(step, work);
      draft = { ...draft, done: [...draft.done, step] };
      await file.write(draft);
    }
    let state = parent?.recipe.nodes;
    if (nodes) {
      const made = await this.#run('nodes', () => nodes.apply(partsOf(this.#folders, this.#python())));
      // One that was interrupted later finds it made, and nothing to do.
      state = made ?? draft.nodes;
      if (state === undefined) {
        await rm(dir, { recursive: true, force: true, maxRetries: 3 });
        return undefined;
      }
      draft = { ...draft, nodes: state };
      await file.write(draft);
    } else this.#options.onProgress?.({ step: 'nodes', state: 'skipped' });
    const { nodes: _, ...engine } = recipe;
    const made = { ...engine, ...(state === undefined ? {} : { nodes: state }) };
    try {
      return await this.#run('verify', () => this.#verify(made));
    } catch (error) {
      // Whatever is wrong with it, going on from there would find it again.
      if (error instanceof GenerationBrokenError) await file.write({ ...draft, done: [], nodes: undefined });
      throw error;
    }
  }

  async #run<T>(step: BuildStep, work: () => Promise<T>): Promise<T> {
    const { signal, onProgress } = this.#options;
    signal?.throwIfAborted();
    this.#step = step;
    onProgress?.({ step, state: 'running' });
    const result = await work();
    onProgress?.({ step, state: 'done' });
    return result;
  }

  #tell(detail: string, percent?: number): void {
    this.#options.onProgress?.({
      step: this.#step,
      state: 'running',
      detail,
      ...(percent === undefined ? {} : { percent }),
    });
  }

  #python(sources = this.#options.python.sources): PythonEnvironment {
    const { env, signal, python, store } = this.#options;
    return new PythonEnvironment(this.#folders.environment, {
      ...python,
      sources,
      env,
      signal,
      cache: store.cache,
      onLine: (line) => this.#tell(line.trim()),
    });
  }

  async #checkOut(): Promise<void> {
    const { recipe, parent, env, signal, log } = this.#options;
    const { checkout } = this.#folders;
    const onProgress = ({ stage, percent }: { stage: string; percent: number }) => this.#tell(stage, percent);
    const git = new Git({ env, signal, onProgress });
    const source = { url: recipe.repository, ref: recipe.commit };
    await this.#removeHalfClones();
    await rm(checkout, { recursive: true, force: true, maxRetries: 3 });
    if (!parent) {
      await git.clone(source, checkout);
      return;
    }
    const former = generationFolders(parent.dir);
    await linkTree(former.checkout, checkout, {
      links: (path, bytes) => bytes >= linkedBytes || /(^|\/)\.git\/(.*\/)?objects\//.test(path),
      without: new Set(['__pycache__']),
      signal,
    });
    const { edits = [] } = (await git.inspect(checkout)) ?? {};
    if (edits.length > 0)
      log.warn(`edits in ${former.checkout} stay there, the new generation does not have them: ${edits.join(', ')}`);
    await git.checkOut(checkout, source);
    await rm(this.#folders.state, { recursive: true, force: true });
    await linkTree(former.state, this.#folders.state, { links: () => false }).catch(ignoreMissing);
  }

  /** What a clone that was killed has left beside its place. */
  async #removeHalfClones(): Promise<void> {
    const { dir, checkout } = this.#folders;
    const left = (await readdir(dir)).filter((name) => name.startsWith(`.${basename(checkout)}.`));
    await Promise.all(left.map((name) => rm(join(dir, name), { recursive: true, force: true, maxRetries: 3 })));
  }

  async #makeEnvironment(): Promise<void> {
    const { recipe, parent, env, signal } = this.#options;
    const { environment } = this.#folders;
    await rm(environment, { recursive: true, force: true, maxRetries: 3 });
    const from = parent && generationFolders(parent.dir).environment;
    if (from && parent.recipe.python === recipe.python)
      await PythonEnvironment.copy(from, environment, { env, signal });
    else await PythonEnvironment.create(environment, { env, signal, python: recipe.python });
  }

  #hasTorchOfParent(): boolean {
    const { recipe, parent } = this.#options;
    const spec = ({ python, torchIndex, torch }: Recipe) => JSON.stringify([python, torchIndex, torch]);
    return parent !== undefined && spec(parent.recipe) === spec(recipe);
  }

  async #installTorch(): Promise<void> {
    const { recipe, python } = this.#options;
    await this.#python(torchSources(recipe.torchIndex, python.sources)).install({ packages: recipe.torch });
  }

  async #installRequirements(): Promise<void> {
    await this.#python().install({ files: [this.#folders.requirements], constraints: [await this.#pinTorch()] });
  }

  async #installExtras(): Promise<void> {
    const constraints = [await this.#pinTorch()];
    for (const name of this.#options.recipe.extras) {
      const { packages, needsTorchToBuild } = extras[name as keyof typeof extras];
      await this.#python().install({ packages, constraints }, { isolated: !needsTorchToBuild });
    }
  }

  /** Whatever comes after torch has to take it as it is. */
  async #pinTorch(): Promise<string> {
    const file = join(this.#folders.dir, 'torch.txt');
    await pinTorch(this.#python(), file);
    return file;
  }

  async #verify(recipe: Recipe): Promise<Generation> {
    const { parent, expectGpu, env, signal, startDeadlineMs } = this.#options;
    const { dir, draft } = this.#folders;
    const seen = await verifyGeneration(this.#folders, {
      python: this.#python(),
      expectGpu: await expectGpu(),
      env,
      signal,
      startDeadlineMs,
      tolerated: parent?.brokenNodes ?? [],
      onDetail: (detail) => this.#tell(detail),
    });
    await writeGeneration({
      dir,
      id: basename(dir),
      createdAt: new Date().toISOString(),
      ...(parent ? { parent: parent.id } : {}),
      recipe,
      ...seen,
    });
    await rm(draft, { force: true });
    const generation = readGeneration(dir);
    if (!generation) throw new TypeError(`${dir} was just written`);
    return generation;
  }
}
