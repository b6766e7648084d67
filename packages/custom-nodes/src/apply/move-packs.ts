import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { forEachBounded, reportError, retrying, toMgpuError } from '@mgpu/core';
import { GitInTheWayError } from '@mgpu/core/git';
import { EditedError } from '../errors.ts';
import { isEnabled } from '../node-list/entry.ts';
import { readEnvFile, renderEnv, writeEnvFile } from '../packs/env-file.ts';
import { shortCommit } from '../short-commit.ts';
import type { ApplyTools } from './apply-tools.ts';
import { inPlace, type NodeWork, type WorkInPlace } from './node-work.ts';

type Tools = Pick<
  ApplyTools,
  'places' | 'git' | 'undisturbedGit' | 'variables' | 'concurrency' | 'retry' | 'log' | 'onProgress' | 'signal'
>;

/** Brings packs to what they are to be, with their `.env`; one that fails is made again what it was. */
export class PackMover {
  readonly #tools: Tools;

  constructor(tools: Tools) {
    this.#tools = tools;
  }

  /** Does what is planned. New ones are staged only: the engine does not see them yet. */
  bringAll(works: readonly NodeWork[]): Promise<void> {
    return forEachBounded(works, this.#tools.concurrency, (work) => this.#orFail(work, () => this.#bring(work)));
  }

  /** Puts those that are staged to where the engine looks. */
  async placeAll(works: readonly NodeWork[]): Promise<void> {
    for (const work of works) {
      const { dir } = work;
      if (dir === this.#tools.places.staged(work.intent.name))
        await this.#orFail(work, () => this.#move(work, dir, true));
    }
  }

  async writeEnvFiles(works: readonly NodeWork[]): Promise<void> {
    for (const work of inPlace(works)) {
      const { env } = work.intent.entry;
      if (!env) continue;
      const { text, missing } = renderEnv(env, this.#tools.variables);
      if (missing.length > 0) work.notes.push(`not set, and empty in its .env: ${missing.join(', ')}`);
      await this.#orFail(work, async () => {
        if (await writeEnvFile(work.dir, text)) work.isChanged = true;
      });
    }
  }

  /** Whether the `.env` of a node is as it should be. */
  async hasEnvFile({ intent, dir }: WorkInPlace): Promise<boolean> {
    const { env } = intent.entry;
    return !env || (await readEnvFile(dir)) === renderEnv(env, this.#tools.variables).text;
  }

  /** Records a failure and makes of the node what it was. */
  async fail(work: NodeWork, error: unknown): Promise<void> {
    this.#tools.signal?.throwIfAborted();
    work.error = toMgpuError(error, work.intent.name);
    await this.#putBack(work).catch((problem: unknown) => {
      const { message } = reportError(problem);
      work.notes.push(`it could not be put back: ${message}`);
      this.#tools.log.error(`custom node ${work.intent.name} could not be put back`, { error: problem });
    });
  }

  async #orFail(work: NodeWork, act: () => Promise<void>): Promise<void> {
    try {
      await act();
    } catch (error) {
      await this.fail(work, error);
    }
  }

  async #bring(work: NodeWork): Promise<void> {
    const { places, retry, git, onProgress } = this.#tools;
    const { name, action, source, url, entry } = work.intent;
    if (action === 'clone' && source) {
      onProgress({ step: 'fetch', node: name, message: `cloning ${url}` });
      await places.makeStaging();
      const dir = places.staged(name);
      work.commit = await retrying(() => git.clone(source, dir), retry);
      work.dir = dir;
      work.isEnabled = true;
    } else if (action === 'remove' && work.dir) {
      await places.remove(work.dir, name);
      work.dir = undefined;
    } else if ((action === 'update' || action === 'switch') && work.dir) {
      onProgress({ step: 'fetch', node: name, message: `fetching ${url}` });
      await this.#update(work, work.dir);
    }
    const wanted = entry ? isEnabled(entry) : work.isEnabled;
    if (work.dir && action !== 'clone' && work.isEnabled !== wanted) await this.#move(work, work.dir, wanted);
    work.isChanged = true;
  }

  async #move(work: NodeWork, dir: string, isOn: boolean): Promise<void> {
    const to = this.#tools.places.of(work.intent.name, isOn);
    await this.#tools.places.move(dir, to);
    work.dir = to;
    work.isEnabled = isOn;
  }

  async #update(work: NodeWork, dir: string): Promise<void> {
    const { git, retry } = this.#tools;
    const { source, entry, present, isForced, isUnfinished, name } = work.intent;
    if (!source || !present) return;
    const { edits, commit, isPublished } = present.checkout;
    // Of a Git that was killed.
    if (isUnfinished) await rm(join(dir, '.git', 'index.lock'), { force: true });
    if (entry?.env) {
      work.formerEnv = await readEnvFile(dir);
      if (edits.includes('.env')) await git.restore(dir, ['.env']);
    }
    if (isForced) {
      if (edits.some((path) => path !== '.env' || !entry?.env)) {
        await git.stash(dir, `mgpu: edits of ${name} at ${shortCommit(commit)}`);
        work.notes.push('its edits were put on the stash: git stash list');
      }
      if (!isPublished) {
        const branch = `mgpu-kept-${shortCommit(commit)}`;
        await git.keep(dir, branch);
        work.notes.push(`its own commit was kept on the branch ${branch}`);
      }
    }
    const checkOut = () => retrying(() => git.checkOut(dir, source, { force: isUnfinished }), retry);
    try {
      work.commit = await checkOut();
    } catch (error) {
      if (!(error instanceof GitInTheWayError)) throw error;
      const { files } = error.details as { files: readonly string[] };
      if (!entry?.env || files.some((file) => file !== '.env')) {
        throw new EditedError({ name, path: dir, edits: files, unpublished: undefined }, { cause: error });
      }
      await rm(join(dir, '.env')); // ours: it is written anew
      work.commit = await checkOut();
    }
  }

  async #putBack(work: NodeWork): Promise<void> {
    const { places, undisturbedGit: git } = this.#tools;
    const { name, action, isUnfinished, former } = work.intent;
    const isOurs = action !== 'none' || isUnfinished;
    if (!isOurs) return;
    work.isChanged = false;
    if (former === null) {
      if (work.dir) await places.remove(work.dir, name);
      work.dir = undefined;
      work.commit = undefined;
      return;
    }
    const { dir } = work;
    if (!dir) return;
    if (action === 'update' || action === 'switch' || work.commit !== former.commit) {
      const source = { url: former.url, ref: former.commit, recursive: former.recursive };
      work.commit = await git.checkOut(dir, source, { force: true });
      if (work.formerEnv !== undefined) await writeEnvFile(dir, work.formerEnv);
    }
    if (work.isEnabled !== former.enabled) await this.#move(work, dir, former.enabled);
  }
}
