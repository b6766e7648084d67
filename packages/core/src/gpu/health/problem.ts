import type { CommandResult } from '../../process/run-command.ts';
import { pciBus } from '../pci-bus.ts';

/** Why nvidia-smi could not say all. */
export interface GpuProblem {
  readonly kind:
    | 'hung'
    /** It was not asked, because it hung before or a fault makes it likely. */
    | 'not-asked'
    /** A GPU that is there no longer, or not usable; `bus` where it was named. */
    | 'gpu-lost'
    /** The container lost its access to the GPUs; the hardware is well. */
    | 'container-lost-gpu'
    /** Driver and library are of different versions, as after an upgrade. */
    | 'driver-mismatch'
    | 'no-driver'
    | 'no-devices'
    /** Anything else it failed with, or said that cannot be true. */
    | 'failed';
  /** What it said, or how it ended. */
  readonly text: string;
  readonly bus?: string;
}

const kinds: readonly (readonly [RegExp, GpuProblem['kind']])[] = [
  [/Driver\/library version mismatch/i, 'driver-mismatch'],
  [/Failed to initialize NVML: Unknown Error/i, 'container-lost-gpu'],
  [/GPU is lost|fallen off the bus|GPU requires reset|Unable to determine the device handle/i, 'gpu-lost'],
  [/couldn't communicate with the NVIDIA driver|Driver Not Loaded/i, 'no-driver'],
  [/No devices were found/i, 'no-devices'],
];

/** What was wrong with an answer; undefined when nothing was. Never throws. */
export function problemOf(result: CommandResult): GpuProblem | undefined {
  const { ok, exitCode, signal, stdout, stderr, timedOut, spawnError } = result;
  if (timedOut) return { kind: 'hung', text: 'nvidia-smi did not answer and was killed' };
  if (spawnError) return { kind: 'failed', text: `nvidia-smi could not be started (${spawnError})` };
  if (ok) return undefined;
  // It prints its errors on either.
  const said = problemIn(`${stdout.slice(0, 2_000)}\n${stderr.slice(0, 2_000)}`);
  return { ...said, text: `${said.text} (exit code ${exitCode ?? signal ?? 'unknown'})` };
}

/** What lines that are no rows of a table mean. Never throws. */
export function problemIn(text: string): GpuProblem {
  const said = text.trim();
  const [pattern, kind] = kinds.find(([known]) => known.test(said)) ?? [undefined, 'failed' as const];
  const line = said.split('\n').find((each) => pattern?.test(each)) ?? said.split('\n', 1)[0] ?? '';
  const bus = kind === 'gpu-lost' ? busIn(line) : undefined;
  return { kind, text: line.trim().slice(0, 300) || 'it said nothing', ...(bus === undefined ? {} : { bus }) };
}

function busIn(line: string): string | undefined {
  const found = /[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}(\.[0-7])?/i.exec(line)?.[0];
  return found === undefined ? undefined : pciBus(found);
}
