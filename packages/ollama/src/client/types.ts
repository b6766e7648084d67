// Names are those of Ollama's API (`api/types.go`), so that its documentation is this one's, too. Durations are nanoseconds.

/** Numbers of a whole answer; those that are zero are left out. */
export interface Metrics {
  readonly total_duration?: number | undefined;
  readonly load_duration?: number | undefined;
  /** Tokens of the prompt. */
  readonly prompt_eval_count?: number | undefined;
  readonly prompt_eval_duration?: number | undefined;
  /** Tokens of the answer. */
  readonly eval_count?: number | undefined;
  readonly eval_duration?: number | undefined;
}

interface CompletionRequest {
  readonly model: string;
  /** `json`, or a JSON schema. */
  readonly format?: string | Readonly<Record<string, unknown>> | undefined;
  /** E.g. `{ num_ctx, num_predict, seed, temperature, top_k, top_p, repeat_penalty, stop }`. */
  readonly options?: Readonly<Record<string, unknown>> | undefined;
  /** Seconds, or a duration such as `5m`; negative is for ever, 0 unloads the model after the answer. */
  readonly keep_alive?: number | string | undefined;
  readonly think?: boolean | string | undefined;
}

export interface GenerateRequest extends CompletionRequest {
  /** Empty: the model is only loaded. */
  readonly prompt?: string | undefined;
  readonly suffix?: string | undefined;
  readonly system?: string | undefined;
  readonly template?: string | undefined;
  readonly raw?: boolean | undefined;
  /** Base64. */
  readonly images?: readonly string[] | undefined;
}

export interface ToolCall {
  readonly function: { readonly name: string; readonly arguments: Readonly<Record<string, unknown>> };
}

export interface Message {
  readonly role: string;
  readonly content: string;
  readonly thinking?: string | undefined;
  /** Base64. */
  readonly images?: readonly string[] | undefined;
  readonly tool_calls?: readonly ToolCall[] | undefined;
  readonly tool_name?: string | undefined;
}

export interface ChatRequest extends CompletionRequest {
  readonly messages: readonly Message[];
  readonly tools?: readonly Readonly<Record<string, unknown>>[] | undefined;
}

interface Part extends Metrics {
  readonly model: string;
  readonly done: boolean;
  /** Of the last part: `stop`, `length`, `load` or `unload`. */
  readonly done_reason?: string | undefined;
}

/** A piece of an answer; the last one is `done` and has the metrics. */
export interface GeneratePart extends Part {
  readonly response: string;
  readonly thinking?: string | undefined;
}

export interface ChatPart extends Part {
  readonly message: Message;
}

export interface EmbedRequest {
  readonly model: string;
  readonly input: string | readonly string[];
  readonly truncate?: boolean | undefined;
  readonly dimensions?: number | undefined;
  readonly options?: Readonly<Record<string, unknown>> | undefined;
  readonly keep_alive?: number | string | undefined;
}

export interface Embeddings extends Metrics {
  readonly model: string;
  /** One vector for each input, in their order. */
  readonly embeddings: readonly (readonly number[])[];
}

export interface ModelDetails {
  readonly format?: string | undefined;
  readonly family?: string | undefined;
  readonly parameter_size?: string | undefined;
  readonly quantization_level?: string | undefined;
}

export interface Model {
  /** With its tag. */
  readonly name: string;
  /** ISO time. */
  readonly modified_at: string;
  /** Bytes on disk. */
  readonly size: number;
  readonly digest: string;
  readonly details: ModelDetails;
}

/** A model in memory. */
export interface RunningModel {
  readonly name: string;
  /** Bytes in memory. */
  readonly size: number;
  /** Of these, on GPUs. */
  readonly size_vram: number;
  readonly digest: string;
  /** ISO time. */
  readonly expires_at: string;
  readonly context_length?: number | undefined;
}

export interface ModelInfo {
  readonly details: ModelDetails;
  readonly capabilities: readonly string[];
  readonly template?: string | undefined;
  readonly parameters?: string | undefined;
  readonly model_info: Readonly<Record<string, unknown>>;
}

/** A line of a pull, or of the making of a model; `success` is the last. */
export interface Progress {
  readonly status: string;
  readonly digest?: string | undefined;
  /** Bytes of the layer. */
  readonly total?: number | undefined;
  readonly completed?: number | undefined;
}

export interface CreateRequest {
  readonly model: string;
  /** Another model. */
  readonly from?: string | undefined;
  /** Digests of uploaded files, by file name. */
  readonly files?: Readonly<Record<string, string>> | undefined;
  readonly system?: string | undefined;
  readonly template?: string | undefined;
  readonly parameters?: Readonly<Record<string, unknown>> | undefined;
  readonly quantize?: string | undefined;
}
