import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { MgpuError } from '@mgpu/core';
import {
  type PackageChange,
  PackagesFailedError,
  type PythonEnvironment,
  packageName,
  RequirementsConflictError,
} from '@mgpu/core/python';
import { ConflictError, ProtectedPackageError } from '../errors.ts';
import { type Constraints, isProtected } from './constraints.ts';
import type { PackRequirements } from './pack-requirements.ts';

/** A pack whose requirements cannot be had together with the others'. */
export interface Culprit {
  readonly pack: string;
  readonly error: MgpuError;
}

/** Asks the installer about packs under constraints, and lets it do what it answered. Its files are gone when disposed of. */
export class Resolver implements AsyncDisposable {
  readonly #python: PythonEnvironment;
  readonly #folder: string;
  readonly #constraints: Constraints;

  static async open(python: PythonEnvironment, constraints: Constraints): Promise<Resolver> {
    const folder = await mkdtemp(join(tmpdir(), 'mgpu-nodes-'));
    const resolver = new Resolver(python, folder, constraints);
    await writeFile(resolver.constraintsFile, constraints.text);
    return resolver;
  }

  private constructor(python: PythonEnvironment, folder: string, constraints: Constraints) {
    this.#python = python;
    this.#folder = folder;
    this.#constraints = constraints;
  }

  /** For scripts: what they install is bound by it, too. */
  get constraintsFile(): string {
    return join(this.#folder, 'constraints.txt');
  }

  /** What installing all of them would change. Throws `CORE_REQUIREMENTS_CONFLICT`, `CORE_PACKAGES_FAILED`. */
  async resolve(packs: readonly PackRequirements[]): Promise<readonly PackageChange[]> {
    const files = await this.#filesOf(packs);
    if (files.length === 0) return [];
    return this.#python.plan({ files, constraints: [this.constraintsFile] });
  }

  /** Installs exactly what `resolve` answered for the same packs. */
  async install(packs: readonly PackRequirements[], changes: readonly PackageChange[]): Promise<void> {
    const pins = changes.flatMap(({ name, to }) => (to === undefined ? [] : [`${name}==${to}`]));
    if (pins.length === 0) return;
    const direct = packs.some(({ requirements }) => requirements.some(({ isDirect }) => isDirect));
    if (!direct) return this.#python.install({ packages: pins }, { dependencies: false });
    // What comes from a URL is known by that alone, so the installer has to see the files again.
    const pinned = join(this.#folder, 'resolved.txt');
    await writeFile(pinned, pins.map((pin) => `${pin}\n`).join(''));
    await this.#python.install({ files: await this.#filesOf(packs), constraints: [this.constraintsFile, pinned] });
  }

  /**
   * A pack that cannot be had with those before it in the given order, and with whom it is at odds; found by halving, since
   * most of them get along. `cause` is why all of them failed.
   */
  async findCulprit(all: readonly PackRequirements[], cause: MgpuError): Promise<Culprit> {
    const failures = new Map<string, unknown>([[namesOf(all), cause]]);
    const fails = async (some: readonly PackRequirements[]) => {
      if (failures.has(namesOf(some))) return true;
      try {
        await this.resolve(some);
        return false;
      } catch (error) {
        if (!isAboutRequirements(error) || error.retryable) throw error;
        failures.set(namesOf(some), error);
        return true;
      }
    };
    // Mostly it is between those that want what the installer speaks of.
    const words = wordsOf(cause);
    const suspects = all.filter(({ requirements }) => requirements.some(({ name }) => name && words.has(name)));
    const packs = suspects.length > 0 && (await fails(suspects)) ? suspects : all;
    const end = await leastThat(1, packs.length, (count) => fails(packs.slice(0, count)));
    const until = packs.slice(0, end);
    const from = end - (await leastThat(1, end, (count) => fails(until.slice(end - count))));
    const [some, error] = [until.slice(from), failures.get(namesOf(until.slice(from))) ?? cause];
    const [culprit, other] = [some.at(-1), some.length > 1 ? some[0] : undefined] as [
      PackRequirements,
      PackRequirements?,
    ];
    return { pack: culprit.pack, error: this.#explain(culprit, other, error as MgpuError) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true });
  }

  #explain(culprit: PackRequirements, other: PackRequirements | undefined, cause: MgpuError): MgpuError {
    if (!(cause instanceof RequirementsConflictError)) return cause;
    const { problem } = cause.details as { problem: string };
    const mentioned = wordsOf(cause);
    const wanted = (pack: PackRequirements) => new Set(pack.requirements.flatMap(({ name }) => name ?? []));
    const [mine, theirs] = [wanted(culprit), other ? wanted(other) : this.#constraints.names];
    const known = [...new Set([...mine, ...theirs, ...this.#constraints.names])];
    const named = known.filter((name) => mentioned.has(name));
    const guarded = named.find((name) => isProtected(name) && this.#constraints.names.has(name));
    const name = culprit.pack;
    if (guarded !== undefined && other === undefined) {
      const installed = new RegExp(`^${guarded}==(.+)$`, 'm').exec(this.#constraints.text)?.[1] ?? '';
      const own = culprit.requirements.find((each) => each.name === guarded)?.text;
      const details = { name, package: guarded, installed, wanted: own ?? `another ${guarded}`, problem };
      return new ProtectedPackageError(details, { cause });
    }
    const shared = named.find((each) => mine.has(each) && theirs.has(each)) ?? named.find((each) => theirs.has(each));
    const wantedPackage = shared ?? named[0] ?? [...mine].find((each) => theirs.has(each)) ?? 'a package';
    const details = { name, other: other?.pack ?? 'the engine', package: wantedPackage, problem };
    return new ConflictError(details, { cause });
  }

  async #filesOf(packs: readonly PackRequirements[]): Promise<string[]> {
    const files: string[] = [];
    for (const { pack, text } of packs) {
      if (text === '') continue;
      const file = join(this.#folder, `pack-${pack}.txt`);
      await writeFile(file, text);
      files.push(file);
    }
    return files;
  }
}

/** True for failures that are some pack's fault, as far as anybody can tell. */
export const isAboutRequirements = (error: unknown): error is MgpuError =>
  error instanceof RequirementsConflictError || error instanceof PackagesFailedError;

/** Whatever may be a package's name in what the installer said. */
function wordsOf({ message, details }: MgpuError): ReadonlySet<string> {
  const { problem = '', lastLines = [] } = details as { problem?: string; lastLines?: readonly string[] };
  const text = [message, problem, ...lastLines].join(' ');
  return new Set((text.match(/[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?/g) ?? []).map(packageName));
}

const namesOf = (packs: readonly PackRequirements[]) => packs.map(({ pack }) => pack).join('/');

/** The least number from `low` to `high` that holds; `high` does, and whatever is above one that does. */
async function leastThat(low: number, high: number, holds: (count: number) => Promise<boolean>): Promise<number> {
  let [least, most] = [low, high];
  while (least < most) {
    const middle = Math.floor((least + most) / 2);
    if (await holds(middle)) most = middle;
    else least = middle + 1;
  }
  return least;
}
