import { access, lstat, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeFileAtomically } from '../files/atomic.ts';
import { linkTree } from '../files/link-tree.ts';
import { findProgram } from '../process/find-program.ts';
import { type StreamResult, streamCommand } from '../process/stream-command.ts';
import { PackagesFailedError, PythonMissingError, RequirementsConflictError } from './errors.ts';
import { packageName } from './package-name.ts';
import { anySource, type PackageSources, sourceArguments, sourceVariables } from './package-sources.ts';

type Variables = Readonly<Record<string, string | undefined>>;

export interface PythonOptions {
  readonly env: Variables;
  readonly signal?: AbortSignal | undefined;
  /** Program that installs: `auto` takes uv where it is in PATH, else the environment's own pip. Default `auto`. */
  readonly installer?: 'auto' | 'uv' | 'pip' | undefined;
  readonly sources?: PackageSources | undefined;
  /** Folder for downloaded packages. On the volume of the environment, uv links files out of it instead of copying them. */
  readonly cache?: string | undefined;
  /** What installers print. */
  readonly onLine?: ((line: string) => void) | undefined;
}

/** A package that an installation would bring, change or (`to` undefined) remove. Names as `packageName` has them. */
export interface PackageChange {
  readonly name: string;
  readonly from?: string;
  readonly to?: string;
}

export interface Requirements {
  /** Requirement files, resolved together. */
  readonly files?: readonly string[];
  /** Requirements as they stand in such a file. */
  readonly packages?: readonly string[];
  /** Files with what must hold of packages, should they be wanted. */
  readonly constraints?: readonly string[];
}

export interface InstallOptions {
  /** Default true: what they need is installed, too. False takes them as they stand. */
  readonly dependencies?: boolean;
  /** Default true. False builds what comes as source with the packages that are installed. */
  readonly isolated?: boolean;
}

export interface PythonRunOptions {
  readonly cwd?: string;
  /** Added to the environment. */
  readonly env?: Variables;
  readonly constraints?: string | undefined;
  /** In place of the environment's own. */
  readonly signal?: AbortSignal;
}

/** Variables that would make Python or an installer work on another environment than the one that is meant. */
const misleading = [
  'PYTHONPATH',
  'PYTHONHOME',
  'PYTHONUSERBASE',
  'VIRTUAL_ENV',
  'CONDA_PREFIX',
  'PIP_USER',
  'PIP_TARGET',
  'PIP_PREFIX',
];

const listPackages = `
import importlib.metadata as metadata, json
print(json.dumps({d.metadata['Name']: d.version for d in metadata.distributions() if d.metadata['Name']}))
`;

/** A Python of its own with its packages: a folder that `python -m venv` made. */
export class PythonEnvironment {
  readonly dir: string;
  readonly #options: PythonOptions;

  constructor(dir: string, options: PythonOptions) {
    this.dir = dir;
    this.#options = options;
  }

  /**
   * Makes a new one in `dir`; what is there is removed. `python`: name or path of the interpreter, default `python3`.
   * Throws `CORE_PYTHON_MISSING`.
   */
  static async create(
    dir: string,
    options: PythonOptions & { readonly python?: string | undefined },
  ): Promise<PythonEnvironment> {
    const { env, signal, python = 'python3' } = options;
    const program = await findProgram([python], env);
    const refuse = (problem: string, cure: string) => new PythonMissingError({ python, problem, cure });
    if (program === undefined)
      throw refuse('it is not there', 'install Python 3.10 or newer, or name it in the configuration');
    await rm(dir, { recursive: true, force: true });
    const made = await streamCommand(program, ['-m', 'venv', dir], { env: environmentFor(options), signal });
    signal?.throwIfAborted();
    if (!made.ok) {
      const words = made.lastLines.join(' ');
      const cure = /ensurepip|No module named venv/.test(words)
        ? 'install what is missing, on Debian: apt-get install -y python3-venv'
        : 'run it by hand: python3 -m venv <folder>';
      throw refuse(`${made.problem}: ${words.slice(0, 300)}`, cure);
    }
    return new PythonEnvironment(dir, options);
  }

  /** A copy of another one whose files are the same ones on disk; both can be changed by installers from then on. */
  static async copy(from: string, dir: string, options: PythonOptions): Promise<PythonEnvironment> {
    await linkTree(from, dir, { signal: options.signal });
    const config = await readFile(join(from, 'pyvenv.cfg'), 'utf8');
    // Where it was made, if it has been moved since.
    const origin = /^command = .* (\/\S+)$/m.exec(config)?.[1] ?? from;
    const scripts = (await readdir(join(dir, 'bin'))).map((name) => join('bin', name));
    for (const path of ['pyvenv.cfg', ...scripts]) await rename(join(dir, path), origin, dir);
    return new PythonEnvironment(dir, options);
  }

  get python(): string {
    return join(this.dir, 'bin', 'python');
  }

  /** The same one, worked on in another way. */
  with(options: Partial<PythonOptions>): PythonEnvironment {
    return new PythonEnvironment(this.dir, { ...this.#options, ...options });
  }

  /** Whether there is one. */
  async exists(): Promise<boolean> {
    return access(this.python).then(
      () => true,
      () => false,
    );
  }

  /** What is installed: version by name, names as `packageName` has them. Throws `CORE_PACKAGES_FAILED`. */
  async installed(): Promise<ReadonlyMap<string, string>> {
    const answer = await this.run(['-c', listPackages]);
    if (!answer.ok) throw this.#failure('listed', answer);
    const versions = JSON.parse(answer.stdout) as Record<string, string>;
    return new Map(Object.entries(versions).map(([name, version]) => [packageName(name), version]));
  }

  /**
   * What an installation would change, changing nothing. Throws `CORE_REQUIREMENTS_CONFLICT` when nothing would do, and
   * `CORE_PACKAGES_FAILED`.
   */
  async plan(requirements: Requirements): Promise<readonly PackageChange[]> {
    const uv = await this.#uv();
    const [before, wanted] = await Promise.all([
      this.installed(),
      uv ? this.#planWithUv(uv, requirements) : this.#planWithPip(requirements),
    ]);
    return [...wanted]
      .map(([name, to]): PackageChange => ({ name, ...from(before.get(name)), ...(to === undefined ? {} : { to }) }))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /**
   * Installs what is missing and changes what does not fit. Throws as `plan`; of many packages without dependencies some may be
   * installed then.
   */
  async install(
    requirements: Requirements,
    { dependencies = true, isolated = true }: InstallOptions = {},
  ): Promise<void> {
    const flags = [...(dependencies ? [] : ['--no-deps']), ...(isolated ? [] : ['--no-build-isolation'])];
    const uv = await this.#uv();
    // pip works at one package at a time. Such as need nothing of each other are shared out among several.
    const shares = !uv && !dependencies && isolated ? sharesOf(requirements) : [requirements];
    const answers = await Promise.all(shares.map((share) => this.#install(uv, flags, share)));
    const failed = answers.find(({ ok }) => !ok);
    if (failed) throw this.#failure('installed', failed);
  }

  /** Removes packages; those that are not there are no reason to fail. Throws `CORE_PACKAGES_FAILED`. */
  async uninstall(names: readonly string[]): Promise<void> {
    const uv = await this.#uv();
    const { signal, onLine } = this.#options;
    const options = { env: environmentFor(this.#options), signal, onLine };
    const answer = uv
      ? await streamCommand(uv, ['pip', 'uninstall', '--python', this.python, '--', ...names], options)
      : await streamCommand(this.python, ['-m', 'pip', 'uninstall', '--yes', '--', ...names], options);
    if (!answer.ok) throw this.#failure('removed', answer);
  }

  /** Runs this Python. `constraints` bind every pip and uv that it starts. `signal` ends this one run. */
  run(args: readonly string[], { cwd, env = {}, constraints, signal }: PythonRunOptions = {}): Promise<StreamResult> {
    const variables = { ...this.activated(constraints), ...env };
    const { onLine } = this.#options;
    return streamCommand(this.python, args, { env: variables, cwd, signal: signal ?? this.#options.signal, onLine });
  }

  /** The variables under which other programs use this Python. `constraints` bind every pip and uv that they start. */
  activated(constraints?: string): Variables {
    const bound = constraints === undefined ? {} : { PIP_CONSTRAINT: constraints, UV_CONSTRAINT: constraints };
    const path = `${join(this.dir, 'bin')}:${this.#options.env.PATH ?? ''}`;
    return { ...environmentFor(this.#options), PATH: path, VIRTUAL_ENV: this.dir, ...bound };
  }

  async #planWithUv(uv: string, requirements: Requirements): Promise<Map<string, string | undefined>> {
    const answer = await this.#install(uv, ['--dry-run'], requirements);
    if (!answer.ok) throw this.#failure('resolved', answer);
    return wantedByUv(answer);
  }

  /** The report goes into a file: on its standard output pip says why it fails, and nothing of that when it is to be quiet. */
  async #planWithPip(requirements: Requirements): Promise<Map<string, string | undefined>> {
    const folder = await mkdtemp(join(tmpdir(), 'mgpu-pip-'));
    try {
      const report = join(folder, 'report.json');
      const answer = await this.#install(undefined, ['--dry-run', '--report', report], requirements);
      if (!answer.ok) throw this.#failure('resolved', answer);
      return wantedByPip(await readFile(report, 'utf8'));
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }

  async #install(uv: string | undefined, flags: readonly string[], requirements: Requirements): Promise<StreamResult> {
    const { sources = anySource, signal, onLine } = this.#options;
    const { files = [], packages = [], constraints = [] } = requirements;
    const what = [
      ...flags,
      ...sourceArguments(sources),
      ...constraints.flatMap((file) => ['-c', file]),
      ...files.flatMap((file) => ['-r', file]),
      '--',
      ...packages,
    ];
    const env = { ...environmentFor(this.#options), ...sourceVariables(sources) };
    if (uv) return streamCommand(uv, ['pip', 'install', '--python', this.python, ...what], { env, signal, onLine });
    return streamCommand(this.python, ['-m', 'pip', 'install', '--no-input', ...what], { env, signal, onLine });
  }

  async #uv(): Promise<string | undefined> {
    const { installer = 'auto', env } = this.#options;
    if (installer === 'pip') return undefined;
    const uv = await findProgram(['uv'], env);
    if (uv === undefined && installer === 'uv')
      throw new PackagesFailedError({
        action: 'installed',
        problem: 'uv is asked for and is not in PATH',
        lastLines: [],
      });
    return uv;
  }

  #failure(action: string, { problem = '', lastLines }: StreamResult) {
    this.#options.signal?.throwIfAborted();
    // First: what an index that does not answer has, is missing to pip.
    const transient = lastLines.some((line) => unreachable.test(line));
    const conflict = transient ? undefined : conflictIn(lastLines);
    if (conflict !== undefined) return new RequirementsConflictError({ problem: conflict });
    return new PackagesFailedError({ action, problem, lastLines: lastLines.slice(-10), transient });
  }
}

const from = (version: string | undefined) => (version === undefined ? {} : { from: version });

function environmentFor({ env, cache }: PythonOptions): Variables {
  return {
    ...Object.fromEntries(Object.entries(env).filter(([name]) => !misleading.includes(name))),
    ...(cache === undefined ? {} : { PIP_CACHE_DIR: join(cache, 'pip'), UV_CACHE_DIR: join(cache, 'uv') }),
    PIP_DISABLE_PIP_VERSION_CHECK: '1',
    PIP_NO_COLOR: '1',
    NO_COLOR: '1',
    PYTHONUNBUFFERED: '1',
    // As pip does it: whoever may not write there would compile everything anew at each start.
    UV_COMPILE_BYTECODE: '1',
  };
}

/** With fewer the start of a further pip costs more than it brings. */
const leastShare = 8;

/** Packages without files, shared out by what this machine can do at a time. */
function sharesOf(requirements: Requirements): Requirements[] {
  const { packages = [], files = [] } = requirements;
  const count = files.length > 0 ? 1 : Math.min(availableParallelism(), Math.floor(packages.length / leastShare));
  if (count < 2) return [requirements];
  return Array.from({ length: count }, (_, share) => ({
    ...requirements,
    packages: packages.filter((_, at) => at % count === share),
  }));
}

/** What pip's report says it would install. */
function wantedByPip(text: string): Map<string, string | undefined> {
  const report = JSON.parse(text) as { install: { metadata: { name: string; version: string } }[] };
  return new Map(report.install.map(({ metadata }) => [packageName(metadata.name), metadata.version]));
}

/** uv prints a diff: ` - name==1` goes, ` + name==2` comes. */
function wantedByUv({ lastLines }: StreamResult): Map<string, string | undefined> {
  const wanted = new Map<string, string | undefined>();
  for (const line of lastLines) {
    const [, sign, name = '', version] = /^ ([-+~]) ([\w.-]+)(?:==|\s*@\s*)(\S+)/.exec(line) ?? [];
    if (sign === '-' && !wanted.has(packageName(name))) wanted.set(packageName(name), undefined);
    else if (sign) wanted.set(packageName(name), version);
  }
  return wanted;
}

/** Words of pip and uv about an index that cannot be asked. */
const unreachable =
  /connection broken by|Max retries exceeded|Could not fetch URL|Failed to fetch:|error sending request|name resolution|operation timed out|Read timed out|\b5\d\d (Server|Service|Internal|Bad Gateway|Gateway)/i;

/** The resolver's own words on why nothing will do; undefined when it came to another end. */
function conflictIn(lines: readonly string[]): string | undefined {
  const text = lines.join('\n');
  const uv = /No solution found[^\n]*\n([\s\S]*)/.exec(text)?.[1];
  const pip = /(?:The conflict is caused by:\n)([\s\S]*?)(?:\nTo fix this|\nERROR: ResolutionImpossible|$)/.exec(
    text,
  )?.[1];
  const missing = /ERROR: (?:Could not find a version that satisfies|No matching distribution found)[^\n]*/.exec(
    text,
  )?.[0];
  const words = uv ?? pip ?? missing?.replace('ERROR: ', '');
  return words
    ?.replace(/^\s*(cause: |[╰─▶×hint:]+ )/gm, '')
    .replace(/\s+/g, ' ')
    .trim()
    .slice(0, 1_000);
}

/** Scripts name their interpreter by its path. The file is replaced, never written into: the other one has it, too. */
async function rename(path: string, from: string, to: string): Promise<void> {
  const found = await lstat(path);
  if (!found.isFile() || found.size > 1_000_000) return;
  const content = await readFile(path);
  if (content.includes(0)) return; // a program
  const text = content.toString();
  if (text.includes(from)) await writeFileAtomically(path, text.replaceAll(from, to), found.mode & 0o7777);
}
