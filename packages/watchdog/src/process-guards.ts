import { statSync } from 'node:fs';
import type { Clock, SupervisedInstance } from '@mgpu/core';
import type { FaultLadder } from './fault-ladder.ts';
import { Histories } from './histories.ts';
import type { RecoveryPolicy } from './recovery-policy.ts';
import { type LogVolumeSample, logVolume } from './rules/log-volume.ts';
import { processFiles } from './rules/open-files.ts';
import { stuckProcess } from './rules/stuck-process.ts';
import { treeMemory } from './rules/tree-memory.ts';
import type { Rule } from './rules/verdict.ts';
import { sampleTrees, type TreeSample } from './sources/process-trees.ts';

export interface ProcessGuardsOptions {
  readonly clock: Clock;
  readonly ladder: FaultLadder;
  readonly policyOf: (instance: SupervisedInstance) => RecoveryPolicy;
  readonly logMiBPerMinute: number;
}

const minuteMs = 60_000;
const mib = 1_048_576;

/** Judges what the processes of each instance take: memory, open files, room in the log. */
export class ProcessGuards {
  readonly #options: ProcessGuardsOptions;
  readonly #trees = new Histories<TreeSample>({ keepMs: 5 * minuteMs });
  readonly #logs = new Histories<LogVolumeSample>({ keepMs: 10 * minuteMs });
  readonly #logSizes = new Map<string, { readonly size: number; readonly total: number }>();
  /** By instance, the run that its history is about. */
  readonly #runs = new Map<string, string>();
  /** Which instance a process belonged to when it was last looked at. */
  #owners: ReadonlyMap<number, string> = new Map();

  constructor(options: ProcessGuardsOptions) {
    this.#options = options;
  }

  /** The instance of a process, as of the last look. */
  ownerOf(pid: number): string | undefined {
    return this.#owners.get(pid);
  }

  look(instances: readonly SupervisedInstance[]): void {
    const { clock, ladder, policyOf, logMiBPerMinute } = this.#options;
    const running = instances.flatMap((instance) => {
      const { pid, run, state } = instance.status;
      if (pid === undefined || run === undefined || state !== 'running') return [];
      const ceiling = (policyOf(instance).memoryMiB ?? Number.POSITIVE_INFINITY) * mib;
      return [{ instance, run, tree: { instance: instance.id, pid, exactAbove: ceiling }, ceiling }];
    });
    const samples = sampleTrees(
      running.map(({ tree }) => tree),
      clock,
    );
    this.#owners = new Map(samples.flatMap(({ instance, pids }) => pids.map((pid) => [pid, instance] as const)));
    for (const { instance, run, ceiling } of running) {
      const { id } = instance;
      if (this.#runs.get(id) !== run) {
        this.#trees.forget(id);
        ladder.forget(`process ${id}`);
      }
      this.#runs.set(id, run);
      const sample = samples.find((each) => each.instance === id);
      const history = sample ? this.#trees.add(id, sample) : [];
      const rules: Rule<TreeSample>[] = [stuckProcess, processFiles, treeMemory(ceiling)];
      const written = this.#written(instance);
      const flood = written === undefined ? [] : logVolume(logMiBPerMinute * mib)(this.#logs.add(id, written));
      ladder.stands(`process ${id}`, [...rules.flatMap((rule) => rule(history)), ...flood]);
    }
    for (const { id } of instances)
      if (!running.some(({ instance }) => instance.id === id)) ladder.forget(`process ${id}`);
  }

  /** A log that shrank was cut: what is there now was written since. */
  #written({ id, logFile }: SupervisedInstance): LogVolumeSample | undefined {
    const size = logFile === undefined ? undefined : statSync(logFile, { throwIfNoEntry: false })?.size;
    if (size === undefined) return undefined;
    const former = this.#logSizes.get(id) ?? { size, total: 0 };
    const total = former.total + (size >= former.size ? size - former.size : size);
    this.#logSizes.set(id, { size, total });
    return { at: this.#options.clock.elapsed(), instance: id, bytes: total };
  }
}
