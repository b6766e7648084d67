import { deadline, streamCommand } from '@mgpu/core';
import { digest, sha256 } from '../canonical.ts';
import { ScriptFailedError } from '../errors.ts';
import { readInside } from '../packs/read-inside.ts';
import type { ApplyRecord } from './apply-record.ts';
import type { ApplyTools } from './apply-tools.ts';
import type { EnginePackages } from './engine-packages.ts';
import type { WorkInPlace } from './node-work.ts';

type Tools = Pick<ApplyTools, 'engine' | 'env' | 'scripts' | 'scriptTimeoutMs' | 'clock' | 'onProgress' | 'signal'>;

interface Script {
  readonly kind: 'install.py' | 'custom_script';
  readonly content: string;
}

/** Runs the scripts of nodes, each once for the same commit and content. */
export class ScriptRunner {
  readonly #record: ApplyRecord;
  readonly #packages: EnginePackages | undefined;
  readonly #tools: Tools;

  constructor(record: ApplyRecord, packages: EnginePackages | undefined, tools: Tools) {
    this.#record = record;
    this.#packages = packages;
    this.#tools = tools;
  }

  /** Whether a node has scripts that are still to be run, or asks for one that cannot be. */
  async isDue(work: WorkInPlace): Promise<boolean> {
    const scripts = await this.#scriptsOf(work).catch(() => undefined);
    return !scripts || (scripts.length > 0 && !this.#haveRun(work, scripts));
  }

  /** Throws `NODES_SCRIPT_FAILED`, `NODES_PROTECTED_CHANGED`. */
  async run(work: WorkInPlace): Promise<void> {
    const { name, entry } = work.intent;
    if (this.#tools.scripts === 'none' && (entry.install_script || entry.custom_script))
      work.notes.push('its scripts are not run: scripts are switched off');
    const scripts = await this.#scriptsOf(work);
    if (scripts.length === 0) return this.#record.noteScripts(name, undefined);
    if (this.#haveRun(work, scripts)) return;
    const constraints = await this.#packages?.constraintsFile();
    for (const script of scripts) await this.#runScript(work, script, constraints);
    this.#record.noteScripts(name, keyOf(work, scripts));
    work.isChanged = true;
  }

  #haveRun(work: WorkInPlace, scripts: readonly Script[]): boolean {
    return this.#record.scriptsOf(work.intent.name) === keyOf(work, scripts);
  }

  /** What is to be run for a node: the pack's own script by its content, the list's by its text. */
  async #scriptsOf({ intent, dir }: WorkInPlace): Promise<Script[]> {
    const { scripts } = this.#tools;
    const { name, entry } = intent;
    if (scripts === 'none') return [];
    const found: Script[] = [];
    const refuse = (problem: string) => new ScriptFailedError({ name, script: 'install.py', problem, lastLines: [] });
    if (entry.install_script || scripts === 'all') {
      const text = await readInside(dir, 'install.py', refuse);
      if (text !== undefined) {
        if (!this.#packages) throw refuse('no Python environment was given');
        found.push({ kind: 'install.py', content: sha256(text) });
      } else if (entry.install_script) throw refuse('there is none');
    }
    if (entry.custom_script) found.push({ kind: 'custom_script', content: entry.custom_script });
    return found;
  }

  async #runScript(work: WorkInPlace, { kind, content }: Script, constraints: string | undefined): Promise<void> {
    const { engine, signal, clock, scriptTimeoutMs, onProgress, env: inherited } = this.#tools;
    const python = this.#packages?.python;
    const { name } = work.intent;
    onProgress({ step: 'script', node: name, message: `running the ${kind} of ${name}` });
    const tooLong = `it took longer than ${scriptTimeoutMs / 1_000} s`;
    using limit = deadline(clock, scriptTimeoutMs, () => new Error(tooLong), signal);
    const cwd = work.dir;
    const own = engine === undefined ? {} : { COMFYUI_PATH: engine };
    const env = { ...(python?.activated(constraints) ?? inherited), ...own };
    const answer =
      kind === 'install.py' && python
        ? await python.run(['install.py'], { cwd, env: own, constraints, signal: limit.signal })
        : await streamCommand('bash', ['-c', content], { env, cwd, signal: limit.signal });
    signal?.throwIfAborted();
    const failure = await this.#packages?.restoreProtected(`the ${kind} of ${name}`);
    if (failure) throw failure;
    if (answer.ok) return;
    const problem = limit.signal.aborted ? tooLong : (answer.problem ?? '');
    throw new ScriptFailedError({ name, script: kind, problem, lastLines: answer.lastLines.slice(-10) });
  }
}

const keyOf = ({ commit }: WorkInPlace, scripts: readonly Script[]) => digest([commit, scripts]);
