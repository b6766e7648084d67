import {
  type Clock,
  type GpuHealthSample,
  type GpuMonitor,
  type GpuProblem,
  type Logger,
  pciBus,
  type SupervisedInstance,
  type Supervisor,
} from '@mgpu/core';
import type { FaultLadder } from './fault-ladder.ts';
import type { Feeders } from './feeders.ts';
import { Histories } from './histories.ts';
import { wasRunning } from './present-run.ts';
import { driverUnusable } from './rules/driver-unusable.ts';
import { ecc } from './rules/ecc.ts';
import type { GpuMemorySample } from './rules/gpu-memory.ts';
import { gpuMissing } from './rules/gpu-missing.ts';
import { gpuSlowdown } from './rules/gpu-slowdown.ts';
import { nvidiaSmiHang } from './rules/nvidia-smi-hang.ts';
import { rowRemap } from './rules/row-remap.ts';
import { strayMemory } from './rules/stray-memory.ts';
import { type XidSample, xid } from './rules/xid.ts';
import { xidFacts } from './rules/xid-table.ts';
import type { OomKill, XidEvent } from './sources/kernel-log/kernel-event.ts';
import { kernelEvents } from './sources/kernel-log/kernel-events.ts';
import { describeProcess, seesHostPids } from './sources/memory-holders.ts';

export interface GpuFaultsOptions {
  readonly supervisor: Supervisor;
  readonly feeders: Feeders;
  readonly ladder: FaultLadder;
  readonly monitor: GpuMonitor;
  readonly clock: Clock;
  readonly log: Logger;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly signal: AbortSignal;
  /** `auto`, `off` or the path of a file. */
  readonly kernelLog: string;
  readonly queryMs: number;
  /** The instance of a process of ours. */
  readonly ownerOf: (pid: number) => string | undefined;
}

const hourMs = 3_600_000;
/** Milliseconds in which a GPU whose management processor hangs is asked nothing. */
const queryPauseMs = 30_000;
const maxKills = 64;
/** Milliseconds after the kernel's word in which the end of that process is its consequence. */
const killMs = 60_000;
/** Answers that tell nothing of any GPU. */
const silent: ReadonlySet<GpuProblem['kind']> = new Set(['hung', 'not-asked', 'failed']);

/** Judges what kernel and driver say about the GPUs. */
export class GpuFaults {
  readonly #options: GpuFaultsOptions;
  readonly #xids = new Histories<XidSample>({ keepMs: 2 * hourMs, most: 256 });
  readonly #health = new Histories<GpuHealthSample>({ keepMs: hourMs / 2 });
  readonly #memory = new Histories<GpuMemorySample>({ keepMs: hourMs / 30 });
  /** When something on a GPU was last ended by us, by UUID; monotonic milliseconds. */
  readonly #ended = new Map<string, number>();
  /** The kernel's last kills for want of memory, by pid. */
  readonly #oomKills = new Map<number, OomKill & { readonly at: number }>();

  constructor(options: GpuFaultsOptions) {
    this.#options = options;
  }

  /** Something on this GPU is being ended: the driver may say so, too. */
  ending({ gpu }: SupervisedInstance): void {
    if (gpu?.uuid !== undefined) this.#ended.set(gpu.uuid, this.#options.clock.elapsed());
  }

  /** The kernel's word about killing this process, a moment ago: pids are used again, and those of a container are its own. */
  oomKillOf(pid: number): OomKill | undefined {
    const kill = seesHostPids() ? this.#oomKills.get(pid) : undefined;
    return kill && this.#options.clock.elapsed() - kill.at <= killMs ? kill : undefined;
  }

  /** Reads the kernel's log until the signal fires. */
  async readKernelLog(): Promise<void> {
    const { clock, log, signal, env, kernelLog } = this.#options;
    if (kernelLog === 'off') return;
    const path = kernelLog === 'auto' ? undefined : kernelLog;
    for await (const event of kernelEvents({ clock, log, signal, env, path })) {
      try {
        if (event.type === 'xid') this.#onXid(event, event.at);
        else this.#onOomKill(event);
      } catch (error) {
        // The next line may be the one that matters.
        log.error(`a line of the kernel's log could not be judged: ${event.line}`, { error });
      }
    }
  }

  #onOomKill(event: OomKill & { readonly at: number }): void {
    this.#oomKills.set(event.pid, event);
    const [oldest] = this.#oomKills.keys();
    if (this.#oomKills.size > maxKills && oldest !== undefined) this.#oomKills.delete(oldest);
  }

  /** Asks nvidia-smi until the signal fires; nobody, on a machine without real GPUs. */
  async watchHealth(): Promise<void> {
    const { clock, signal, monitor, queryMs, supervisor } = this.#options;
    if (!supervisor.instances().some(({ gpu }) => gpu?.mode === 'nvidia')) return;
    while (!signal.aborted) {
      const sample = await monitor.sample({ signal });
      if (sample) this.#judge(sample);
      await clock.sleep(monitor.nextIn(queryMs), { signal });
    }
  }

  /** Who has memory of a GPU from now on; undefined where that cannot be told. */
  async memoryOf(gpu: string): Promise<GpuMemorySample | undefined> {
    const { clock, monitor, signal } = this.#options;
    const asked = clock.elapsed();
    const former = await monitor.sample({ signal });
    // Of a question that was under way already, the answer may not tell of what has happened since.
    const sample = former && former.at < asked ? await monitor.sample({ signal }) : former;
    return sample?.gpus.some(({ uuid }) => uuid === gpu) ? this.#memoryIn(sample, gpu) : undefined;
  }

  #onXid({ bus, xid: number, pid, nvlink, recovery, line }: XidEvent, at: number): void {
    const { ladder, monitor } = this.#options;
    const gpu = this.#instances().find(({ gpu: each }) => pciBus(each?.pciBusId ?? '') === bus)?.gpu?.uuid ?? bus;
    const sample: XidSample = {
      at,
      gpu,
      xid: number,
      instance: this.#ownerOf(pid, gpu),
      killedAt: this.#ended.get(gpu),
      nvlinkFatal: nvlink?.fatal,
      recovery,
      line,
    };
    if (xidFacts(number).pausesQueries) monitor.pause(queryPauseMs);
    const verdicts = xid(this.#xids.add(gpu, sample));
    // Whoever has ended over it is being restarted already: the next run is not to blame.
    const isOver = sample.instance !== undefined && !this.#isStillThere(sample.instance, pid, at);
    ladder.happened(
      isOver ? verdicts.map((each) => (each.action === 'restart' ? { ...each, action: 'record' } : each)) : verdicts,
    );
  }

  /** By its process where that can be known, else by who alone is fed on that GPU. */
  #ownerOf(pid: number | undefined, gpu: string): string | undefined {
    const { ownerOf } = this.#options;
    if (pid !== undefined && seesHostPids()) {
      const owner = ownerOf(pid);
      // A living process of somebody else is not to be answered for by the engine beside it.
      if (owner !== undefined || describeProcess(pid) !== undefined) return owner;
    }
    const feeding = this.#feeding();
    const engines = this.#instances().filter((each) => each.gpu?.uuid === gpu && !feeding.has(each.id));
    return engines.length === 1 ? engines[0]?.id : undefined;
  }

  #isStillThere(id: string, pid: number | undefined, at: number): boolean {
    const { clock } = this.#options;
    const instance = this.#instances().find((each) => each.id === id);
    if (!instance || !wasRunning(instance, clock.now() - (clock.elapsed() - at))) return false;
    return pid === undefined || !seesHostPids() || describeProcess(pid) !== undefined;
  }

  #judge(sample: GpuHealthSample): void {
    const { ladder } = this.#options;
    ladder.stands('nvidia-smi', nvidiaSmiHang([sample]));
    // Nothing was learned of the GPUs: they stand as they stood.
    if (sample.gpus.length === 0 && sample.problem && silent.has(sample.problem.kind)) return;
    const expected = new Map(
      this.#instances().flatMap(({ gpu }) =>
        gpu?.mode === 'nvidia' ? [[gpu.uuid, { uuid: gpu.uuid, bus: pciBus(gpu.pciBusId ?? '') }] as const] : [],
      ),
    );
    const rules = [ecc, rowRemap, gpuMissing([...expected.values()]), gpuSlowdown, driverUnusable];
    const history = this.#health.add('machine', sample);
    const strays = [...expected.keys()].flatMap((gpu) =>
      strayMemory(this.#memory.add(gpu, this.#memoryIn(sample, gpu))),
    );
    ladder.stands('gpu', [...rules.flatMap((rule) => rule(history)), ...strays]);
  }

  #memoryIn({ at, gpus, apps }: GpuHealthSample, gpu: string): GpuMemorySample {
    const feeding = this.#feeding();
    const own = seesHostPids() ? apps?.filter((app) => app.gpu === gpu) : undefined;
    return {
      at,
      gpu,
      usedMiB: gpus.find(({ uuid }) => uuid === gpu)?.memoryUsedMiB,
      holders: own?.map(({ pid, memoryMiB }) => {
        return { pid, memoryMiB, instance: this.#options.ownerOf(pid), process: describeProcess(pid) };
      }),
      isInUse: this.#instances().some((each) => {
        return each.gpu?.uuid === gpu && each.status.pid !== undefined && !feeding.has(each.id);
      }),
    };
  }

  /** Those that feed an engine compute nothing themselves. */
  #feeding(): ReadonlySet<string> {
    return new Set(this.#options.feeders.of().map(({ id }) => id));
  }

  #instances(): readonly SupervisedInstance[] {
    return this.#options.supervisor.instances();
  }
}
