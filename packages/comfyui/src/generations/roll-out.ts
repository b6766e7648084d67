import { logEnd } from '@mgpu/core';
import { ComfyUIClient } from '../client/comfyui-client.ts';
import { NoPreviousGenerationError, RollOutFailedError } from '../errors.ts';
import { expectProved } from '../prove-engine.ts';
import { describeFailed, failedImports } from './failed-imports.ts';
import type { Generation } from './generation.ts';
import type { GenerationStore } from './generation-store.ts';
import { nodeClassesOf } from './verify-generation.ts';

/** An instance of ComfyUI that runs now. */
export interface RunningEngine {
  /** E.g. `comfyui_gpu0`. */
  readonly id: string;
  readonly url: URL;
  readonly logFile: string;
}

/** The machine's instances of ComfyUI, in the hands of whoever holds the machine. */
export interface Fleet {
  /** Those that run, in the order they are to move. */
  engines(): Promise<readonly RunningEngine[]>;
  /**
   * Lets its work in hand end, starts it anew and gives it no new work before `check` has resolved. Rejects when it does not
   * become ready, and with what `check` rejects with.
   */
  move(engine: RunningEngine, check: () => Promise<void>, signal: AbortSignal | undefined): Promise<void>;
}

export interface RollOutProgress {
  readonly instance: string;
  readonly state: 'moving' | 'moved' | 'failed' | 'back';
}

export interface RollOutOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onInstance?: ((progress: RollOutProgress) => void) | undefined;
  /** False: all at the same time, and each has only to become ready. Default true: one after the other, each proved by use. */
  readonly oneByOne?: boolean | undefined;
}

/**
 * Brings a generation to all instances: to the first, and if that one offers every node class it should and makes a picture,
 * to the others. Whatever fails, or being called off, brings those that have moved back and leaves `current` as it was.
 * Without instances that run only `current` changes. Only for whoever holds the store's lock. Throws
 * `COMFYUI_ROLL_OUT_FAILED`.
 */
export async function rollOut(
  store: GenerationStore,
  generation: Generation,
  fleet: Fleet,
  options: RollOutOptions = {},
): Promise<void> {
  const { signal, onInstance, oneByOne = true } = options;
  const former = await store.current();
  const moved: RunningEngine[] = [];
  const move = async (engine: RunningEngine) => {
    signal?.throwIfAborted();
    onInstance?.({ instance: engine.id, state: 'moving' });
    moved.push(engine);
    await store.try(engine.id, generation);
    const { offset: from } = logEnd(engine.logFile);
    const check = oneByOne ? () => expectWhole(engine, { generation, from, signal }) : async () => {};
    try {
      await fleet.move(engine, check, signal);
    } catch (cause) {
      signal?.throwIfAborted();
      onInstance?.({ instance: engine.id, state: 'failed' });
      throw new MoveFailure(engine.id, cause);
    }
    onInstance?.({ instance: engine.id, state: 'moved' });
  };
  try {
    // One after the other takes a while: others may have become ready meanwhile.
    for (let engines = await fleet.engines(); engines.length > 0; engines = await notIn(moved, fleet)) {
      if (oneByOne) for (const engine of engines) await move(engine);
      else {
        // None is brought back while another still moves.
        const outcomes = await Promise.allSettled(engines.map(move));
        for (const each of outcomes) if (each.status === 'rejected') throw each.reason;
      }
    }
    await store.switch(generation);
  } catch (error) {
    const left = await moveBack(store, fleet, moved, onInstance);
    const about = { id: generation.id, former: former?.id };
    if (error instanceof MoveFailure) {
      const { instance, cause } = error;
      throw new RollOutFailedError({ ...about, instance, problem: (cause as Error).message, left }, { cause });
    }
    if (left.length > 0) {
      const problem = (error as Error).message;
      throw new RollOutFailedError({ ...about, instance: 'the machine', problem, left }, { cause: error });
    }
    throw error;
  }
}

async function notIn(moved: readonly RunningEngine[], fleet: Fleet): Promise<readonly RunningEngine[]> {
  const engines = await fleet.engines();
  return engines.filter(({ id }) => !moved.some((each) => each.id === id));
}

class MoveFailure extends Error {
  readonly instance: string;

  constructor(instance: string, cause: unknown) {
    super(`${instance} did not move`, { cause });
    this.instance = instance;
  }
}

/** Brings one that is there to all instances, one after the other. Throws as `rollBack`, and `COMFYUI_GENERATION_UNKNOWN`. */
export async function switchTo(
  store: GenerationStore,
  id: string,
  fleet: Fleet,
  options: RollOutOptions = {},
): Promise<Generation> {
  using _ = await store.lock();
  const generation = await store.find(id);
  await store.untry();
  await rollOut(store, generation, fleet, options);
  return generation;
}

/**
 * Brings the generation that was in force before to all instances at once; they have only to become ready. The same again goes
 * forth again. Throws `COMFYUI_NO_PREVIOUS_GENERATION`, `COMFYUI_ROLL_OUT_FAILED`, `CORE_FOLDER_BUSY`.
 */
export async function rollBack(
  store: GenerationStore,
  fleet: Fleet,
  options: RollOutOptions = {},
): Promise<Generation> {
  using _ = await store.lock();
  const previous = await store.previous();
  if (!previous) throw new NoPreviousGenerationError({ current: (await store.current())?.id });
  await store.untry();
  await rollOut(store, previous, fleet, { ...options, oneByOne: false });
  return previous;
}

/** Also when the roll-out was called off: nothing may stay half way. Returns what could not be brought back, and why. */
async function moveBack(
  store: GenerationStore,
  fleet: Fleet,
  moved: readonly RunningEngine[],
  onInstance: RollOutOptions['onInstance'],
): Promise<readonly string[]> {
  await store.untry();
  const outcomes = await Promise.allSettled(
    moved.map(async (engine) => {
      await fleet.move(engine, async () => {}, undefined);
      onInstance?.({ instance: engine.id, state: 'back' });
    }),
  );
  return outcomes.flatMap((each) => (each.status === 'rejected' ? [(each.reason as Error).message] : []));
}

/** Rejects with what an instance lacks of what its generation had when it was verified. */
async function expectWhole(
  { url, logFile }: RunningEngine,
  { generation, from, signal }: { generation: Generation; from: number; signal: AbortSignal | undefined },
): Promise<void> {
  await using client = new ComfyUIClient(url);
  const imports = await failedImports(logFile, { from });
  // What lies in the shared folder is none of the generation's.
  const own = imports.filter(({ path }) => path.includes(`/generations/${generation.id}/`));
  const failed = own.filter(({ name }) => !generation.brokenNodes.includes(name));
  if (failed.length > 0) throw new Error(`custom nodes cannot be imported: ${describeFailed(failed)}`);
  const offered = await nodeClassesOf(client, { signal });
  const missing = Object.keys(generation.nodeClasses).filter((name) => !(name in offered));
  if (missing.length > 0) {
    const few = missing.slice(0, 5).join(', ');
    throw new Error(`${missing.length} of its node classes are missing, among them ${few}`);
  }
  await expectProved(client, { signal });
}
