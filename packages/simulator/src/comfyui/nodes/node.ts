import type { Folders } from '../folders.ts';
import type { Simulation } from '../script.ts';

/** An input as `object_info` shows it: `[TYPE or options, config]`. */
export type InputSpec = readonly [type: string | readonly string[], config?: Readonly<Record<string, unknown>>];
export type InputSpecs = Readonly<Record<string, InputSpec>>;
export interface NodeInputs {
  readonly required: InputSpecs;
  readonly optional?: InputSpecs;
  readonly hidden?: Readonly<Record<string, string>>;
}

/** What validation and fingerprints may look at. */
export interface NodeWorld {
  readonly folders: Folders;
  readonly simulation: Simulation;
}

export interface Preview {
  readonly type: 'image/jpeg' | 'image/png';
  readonly bytes: Uint8Array;
}

/** What a running node may use. */
export interface NodeContext extends NodeWorld {
  readonly nodeId: string;
  readonly prompt: unknown;
  readonly extraPngInfo: unknown;
  readonly metadata: boolean;
  /** Longest side of latent previews, or undefined when previews are off. */
  readonly previewSize: number | undefined;
  /** Waits for simulated work. With `atOnce` an interrupt ends it early and rejects; without, the next progress throws. */
  work(ms: number, atOnce?: boolean): Promise<void>;
  /** Faults placed at a step strike here. */
  beforeStep(step: number): Promise<void>;
  /** Reports progress; throws when the prompt is interrupted. */
  progress(value: number, max: number, preview?: Preview): void;
}

export interface NodeResult {
  readonly outputs: readonly unknown[];
  readonly ui?: Record<string, unknown>;
}

/** A simulated node class. */
export interface NodeClass {
  readonly name: string;
  readonly displayName: string | null;
  readonly category: string;
  readonly description?: string;
  readonly module?: string;
  readonly outputNode?: boolean;
  readonly outputs: readonly string[];
  readonly outputNames?: readonly string[];
  readonly info?: Readonly<Record<string, unknown>>;
  inputs(world: NodeWorld): NodeInputs;
  /** Python's VALIDATE_INPUTS: for the inputs it names, a message or true; those are not checked against their list. */
  validate?: {
    readonly names: readonly string[];
    check(inputs: Record<string, unknown>, world: NodeWorld): Promise<string | true>;
  };
  /** Python's IS_CHANGED. */
  fingerprint?(inputs: Record<string, unknown>, world: NodeWorld): Promise<string>;
  run(inputs: Record<string, unknown>, context: NodeContext): NodeResult | Promise<NodeResult>;
}
