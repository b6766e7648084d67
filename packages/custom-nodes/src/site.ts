import { access, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { PythonEnvironment, type PythonOptions } from '@mgpu/core/python';

/** Where nodes are brought to. */
export interface NodeTarget {
  /** ComfyUI's `custom_nodes`. */
  readonly packs: string;
  /** Folder for `nodes.lock.json` and what is remembered. */
  readonly state: string;
  /** The engine's checkout: scripts get it as `COMFYUI_PATH`. */
  readonly engine?: string | undefined;
  /** Where requirements are installed. Without it none are. */
  readonly python?: PythonEnvironment | undefined;
  /** Requirement files of the engine: its lines bind the nodes. */
  readonly engineRequirements?: readonly string[] | undefined;
}

/** An engine whose nodes can be changed, in whatever way that is done to it. */
export interface NodeSite {
  /** For looking. */
  current(): Promise<NodeTarget>;
  /**
   * For changing: `work` gets a target that may be another one than `current`. What it made counts once this resolves; where
   * `isChanged` is false nothing of it has to stay but what is remembered of failures.
   */
  change<T>(
    work: (target: NodeTarget) => Promise<SiteChange<T>>,
    options?: { readonly signal?: AbortSignal | undefined },
  ): Promise<T>;
}

export interface SiteChange<T> {
  readonly result: T;
  readonly isChanged: boolean;
}

export interface CheckoutSiteOptions extends Omit<PythonOptions, 'signal'> {
  /** Python environment. Default: `venv` or `.venv` in the checkout, where there is one. */
  readonly python?: string | undefined;
  /** Default: `.mgpu` in the checkout. */
  readonly state?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A checkout of ComfyUI in `dir`, changed in place. */
export function checkoutSite(
  dir: string,
  { python, state = join(dir, '.mgpu'), ...options }: CheckoutSiteOptions,
): NodeSite {
  const current = async (): Promise<NodeTarget> => {
    const environment = await firstOf(
      python === undefined ? [join(dir, 'venv'), join(dir, '.venv')] : [python],
      'bin/python',
    );
    const requirements = join(dir, 'requirements.txt');
    return {
      packs: await realpath(join(dir, 'custom_nodes')).catch(() => join(dir, 'custom_nodes')),
      state,
      engine: dir,
      ...(environment === undefined ? {} : { python: new PythonEnvironment(environment, options) }),
      engineRequirements: (await isThere(requirements)) ? [requirements] : [],
    };
  };
  return { current, change: async (work) => (await work(await current())).result };
}

async function firstOf(folders: readonly string[], file: string): Promise<string | undefined> {
  for (const folder of folders) if (await isThere(join(folder, file))) return folder;
  return undefined;
}

const isThere = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );
