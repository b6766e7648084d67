/** One node of a workflow in API format. */
export interface PromptNode {
  readonly class_type: string;
  readonly inputs: Readonly<Record<string, unknown>>;
  readonly _meta?: { readonly title?: string };
}

/** A workflow in API format: nodes by id. */
export type PromptGraph = Readonly<Record<string, PromptNode>>;

/** A file as ComfyUI names it; `type` is the folder it lies in. */
export interface EngineFile {
  readonly filename: string;
  readonly subfolder: string;
  readonly type: 'output' | 'temp' | 'input';
}

/** What a node showed: e.g. `{ images: [{ filename, subfolder, type }] }`. */
export type NodeOutput = Readonly<Record<string, unknown>>;

/** The engine's `node_errors`: what is wrong with single nodes of a workflow. */
export type NodeErrors = Readonly<Record<string, unknown>>;

export interface Submission {
  readonly promptId: string;
  /** Place in the engine's order; counted since its start. */
  readonly number: number;
  /** Not empty when some outputs of the workflow are not valid and only the others will run. */
  readonly nodeErrors: NodeErrors;
}

export interface HistoryEntry {
  readonly outputs: Readonly<Record<string, NodeOutput>>;
  readonly status: {
    readonly status_str: string;
    readonly completed: boolean;
    /** Events of the run: `[type, data]`. */
    readonly messages: readonly (readonly [string, Readonly<Record<string, unknown>>])[];
  };
}

export interface QueueEntry {
  readonly number: number;
  readonly promptId: string;
}

export interface Queue {
  readonly running: readonly QueueEntry[];
  /** In the order they will run. */
  readonly pending: readonly QueueEntry[];
}

export interface SystemStats {
  readonly system: Readonly<Record<string, unknown>> & {
    readonly comfyui_version?: string | undefined;
    readonly argv: readonly string[];
  };
  readonly devices: readonly Readonly<Record<string, unknown>>[];
}

interface OfPrompt {
  readonly prompt_id: string;
}

/** State of one node in `progress_state`. */
export interface NodeProgress {
  readonly value: number;
  readonly max: number;
  readonly state: string;
  readonly node_id: string;
  readonly display_node_id?: string;
}

/** A failed node, as in the event and in the history. */
export interface ExecutionError extends OfPrompt {
  readonly node_id: string;
  readonly node_type: string;
  readonly exception_type: string;
  readonly exception_message: string;
  readonly traceback: readonly string[];
}

/** What the engine tells over its websocket; `data` is as on the wire. */
export type EngineEvent =
  | { readonly type: 'status'; readonly data: { status?: { exec_info?: { queue_remaining?: number } }; sid?: string } }
  | { readonly type: 'execution_start' | 'execution_success'; readonly data: OfPrompt }
  | { readonly type: 'execution_cached'; readonly data: OfPrompt & { readonly nodes: readonly string[] } }
  | {
      readonly type: 'progress_state';
      readonly data: OfPrompt & { readonly nodes: Readonly<Record<string, NodeProgress>> };
    }
  /** `node` is null when the prompt has ended; `prompt_id` is missing right after a reconnect. */
  | { readonly type: 'executing'; readonly data: Partial<OfPrompt> & { readonly node: string | null } }
  | {
      readonly type: 'progress';
      readonly data: OfPrompt & { readonly node: string; readonly value: number; readonly max: number };
    }
  | {
      readonly type: 'executed';
      readonly data: OfPrompt & { readonly node: string; readonly output: NodeOutput | null };
    }
  | { readonly type: 'execution_error'; readonly data: ExecutionError }
  | {
      readonly type: 'execution_interrupted';
      readonly data: OfPrompt & { readonly node_id: string; readonly node_type: string };
    }
  | { readonly type: 'feature_flags'; readonly data: Readonly<Record<string, unknown>> }
  /** A picture of the work so far; whose it is, is known only when the client offered `supports_preview_metadata`. */
  | {
      readonly type: 'preview';
      readonly mediaType: string;
      readonly bytes: Uint8Array;
      readonly data?: OfPrompt & { readonly node_id: string };
    }
  | { readonly type: 'text'; readonly node: string; readonly text: string }
  /** Anything else, e.g. what a custom node sends; binary ones as `binary <type>` with their bytes. */
  | { readonly type: 'other'; readonly name: string; readonly data: unknown };
