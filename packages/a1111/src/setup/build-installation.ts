import { mkdir, readdir, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { versionedFile } from '@mgpu/core';
import { Git, type GitSource } from '@mgpu/core/git';
import { PythonEnvironment, type PythonOptions, pinTorch, torchSources } from '@mgpu/core/python';
import { z } from 'zod';
import { InstallationBrokenError } from '../errors.ts';
import { helpersFor, helperVariables } from './helpers.ts';
import { type Installation, installationFolders, readManifest, writeManifest } from './installation.ts';
import type { Recipe } from './recipe.ts';
import { requirementsFile } from './requirements-file.ts';

export type SetupStep = 'checkout' | 'helpers' | 'environment' | 'torch' | 'requirements' | 'verify';

export interface SetupProgress {
  readonly step: SetupStep;
  /** `done` and `skipped` end it; `running` comes at its begin and with each detail. */
  readonly state: 'running' | 'done' | 'skipped';
  /** What it is about just now, in words. */
  readonly detail?: string;
}

export interface BuildOptions {
  /** Folder of the installation. One of the same name that was interrupted is gone on with. */
  readonly dir: string;
  readonly recipe: Recipe;
  readonly commit: string;
  /** A URL, or `packages`. */
  readonly torchIndex: string;
  readonly cache: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly python: Pick<PythonOptions, 'installer' | 'sources'>;
  /** Whether torch has to find a GPU. */
  readonly expectGpu: boolean;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: SetupProgress) => void) | undefined;
}

const draftSchema = z.object({ done: z.array(z.string()), helpers: z.record(z.string(), z.string()) });

/**
 * Makes an installation, or goes on with it step by step. Everything the program would fetch at a start is there in the end,
 * and the program itself says so, without the network. Throws what its steps throw (`CORE_GIT_*`, `CORE_PYTHON_MISSING`,
 * `CORE_REQUIREMENTS_CONFLICT`, `CORE_PACKAGES_FAILED`) and `A1111_INSTALLATION_BROKEN`.
 */
export const buildInstallation = (options: BuildOptions): Promise<Installation> => new Build(options).run();

class Build {
  readonly #options: BuildOptions;
  readonly #folders: ReturnType<typeof installationFolders>;
  #step: SetupStep = 'checkout';
  /** Commits of the helper repositories. */
  #helpers: Record<string, string> = {};

  constructor(options: BuildOptions) {
    this.#options = options;
    this.#folders = installationFolders(options.dir);
  }

  async run(): Promise<Installation> {
    const { dir, draft } = this.#folders;
    await mkdir(dir, { recursive: true });
    const file = versionedFile(draft, 1, draftSchema);
    const { done, helpers } = file.read() ?? { done: [], helpers: {} };
    this.#helpers = { ...helpers };
    const steps: readonly [SetupStep, () => Promise<void>][] = [
      ['checkout', () => this.#checkOut()],
      ['helpers', () => this.#cloneHelpers()],
      ['environment', () => this.#makeEnvironment()],
      ['torch', () => this.#installTorch()],
      ['requirements', () => this.#installRequirements()],
    ];
    for (const [step, work] of steps) {
      if (done.includes(step)) {
        this.#options.onProgress?.({ step, state: 'skipped' });
        continue;
      }
      await this.#run(step, work);
      done.push(step);
      await file.write({ done, helpers: this.#helpers });
    }
    try {
      await this.#run('verify', () => this.#verify());
    } catch (error) {
      // Whatever is wrong with it, going on from there would find it again.
      if (error instanceof InstallationBrokenError) await file.write({ done: [], helpers: {} });
      throw error;
    }
    await rm(draft, { force: true });
    const manifest = readManifest(dir);
    if (!manifest) throw new TypeError(`${dir} was just written`);
    return { ...manifest, id: basename(dir), dir };
  }

  async #run(step: SetupStep, work: () => Promise<void>): Promise<void> {
    const { signal, onProgress } = this.#options;
    signal?.throwIfAborted();
    this.#step = step;
    onProgress?.({ step, state: 'running' });
    await work();
    onProgress?.({ step, state: 'done' });
  }

  #tell(detail: string): void {
    this.#options.onProgress?.({ step: this.#step, state: 'running', detail });
  }

  #python(sources = this.#options.python.sources): PythonEnvironment {
    const { env, signal, python, cache } = this.#options;
    const onLine = (line: string) => this.#tell(line.trim());
    return new PythonEnvironment(this.#folders.environment, { ...python, sources, env, signal, cache, onLine });
  }

  async #checkOut(): Promise<void> {
    const { recipe, commit } = this.#options;
    await this.#clone({ url: recipe.repository, ref: commit }, this.#folders.checkout);
  }

  async #cloneHelpers(): Promise<void> {
    const { recipe } = this.#options;
    const { checkout, repositories } = this.#folders;
    await mkdir(repositories, { recursive: true });
    const helpers = Object.entries(recipe.helpers ?? (await helpersFor(checkout)));
    for (const [folder, { repository, ref }] of helpers) {
      this.#tell(folder);
      this.#helpers[folder] = await this.#clone({ url: repository, ref }, join(repositories, folder));
    }
  }

  /** Over whatever an interrupted one has left there and beside it. */
  async #clone(source: GitSource, dir: string): Promise<string> {
    const { env, signal } = this.#options;
    const [parent, name] = [dirname(dir), basename(dir)];
    const left = (await readdir(parent)).filter((each) => each === name || each.startsWith(`.${name}.`));
    await Promise.all(left.map((each) => rm(join(parent, each), { recursive: true, force: true, maxRetries: 3 })));
    const onProgress = ({ stage, percent }: { stage: string; percent: number }) =>
      this.#tell(`${name}: ${stage} ${percent} %`);
    return new Git({ env, signal, onProgress }).clone(source, dir);
  }

  async #makeEnvironment(): Promise<void> {
    const { recipe, env, signal } = this.#options;
    await PythonEnvironment.create(this.#folders.environment, { env, signal, python: recipe.python });
  }

  async #installTorch(): Promise<void> {
    const { recipe, torchIndex, python } = this.#options;
    await this.#python(torchSources(torchIndex, python.sources)).install({ packages: recipe.torch });
  }

  async #installRequirements(): Promise<void> {
    const { recipe } = this.#options;
    const { checkout, pins } = this.#folders;
    await pinTorch(this.#python(), pins);
    const constraints = [pins];
    await this.#python().install({ files: [await requirementsFile(checkout)], constraints });
    // Archives of source that are built with what the requirements have pinned: newer build tools refuse them.
    for (const each of recipe.launcherPackages) {
      await this.#python().install({ packages: [each], constraints }, { isolated: false });
    }
    if (recipe.xformers !== null) {
      await this.#python().install({ packages: [recipe.xformers], constraints }, { dependencies: false });
    }
  }

  /** The program's own preparation has to find nothing to do, with Git and pip kept from the network. */
  async #verify(): Promise<void> {
    const { recipe, commit, torchIndex, expectGpu } = this.#options;
    const { dir, checkout } = this.#folders;
    const python = this.#python();
    const answer = await python.run(
      [
        ...['launch.py', '--exit', '--skip-install', '--skip-python-version-check'],
        ...(expectGpu ? [] : ['--skip-torch-cuda-test']),
      ],
      {
        cwd: checkout,
        env: {
          ...helperVariables(this.#helpers),
          GIT_TERMINAL_PROMPT: '0',
          GIT_ALLOW_PROTOCOL: 'none',
          COMMANDLINE_ARGS: undefined,
        },
      },
    );
    this.#options.signal?.throwIfAborted();
    const { problem, lastLines } = answer;
    if (!answer.ok) {
      throw new InstallationBrokenError({ dir, problem: `its launcher does not accept it: ${problem}`, lastLines });
    }
    const version = await python.run(['-c', 'import platform; print(platform.python_version())']);
    await writeManifest(dir, {
      createdAt: new Date().toISOString(),
      recipe,
      commit,
      helpers: this.#helpers,
      torchIndex,
      pythonVersion: version.stdout.trim(),
      packages: Object.fromEntries(await python.installed()),
    });
  }
}
