import type { ConnectorIo, JobProgress } from '@mgpu/core/jobs';
import type { ChatPart, GeneratePart, Metrics, ToolCall } from '../client/types.ts';

const maxPreviewChars = 16_384;

export interface AnswerOptions {
  readonly io: Pick<ConnectorIo, 'progress' | 'preview'>;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  readonly previewMs: number;
  /** `num_predict`: the most tokens there will be. */
  readonly limit: number | undefined;
}

/** An answer as it comes: put together, with progress and the text so far for whoever watches. */
export class Answer {
  readonly #options: AnswerOptions;
  readonly #toolCalls: ToolCall[] = [];
  #text = '';
  #thinking = '';
  #parts = 0;
  #shownAt = Number.NEGATIVE_INFINITY;
  #end: (Metrics & { readonly done_reason?: string | undefined }) | undefined;

  constructor(options: AnswerOptions) {
    this.#options = options;
  }

  get text(): string {
    return this.#text;
  }

  get thinking(): string {
    return this.#thinking;
  }

  get toolCalls(): readonly ToolCall[] {
    return this.#toolCalls;
  }

  /** Numbers of the last part. */
  get end(): Metrics & { readonly done_reason?: string | undefined } {
    return this.#end ?? {};
  }

  see(part: GeneratePart | ChatPart): void {
    const {
      content,
      thinking = '',
      tool_calls = [],
    } = 'message' in part ? part.message : { content: part.response, thinking: part.thinking, tool_calls: [] };
    this.#text += content;
    this.#thinking += thinking;
    this.#toolCalls.push(...tool_calls);
    if (part.done) {
      const { model: _model, done: _done, ...end } = part;
      this.#end = end;
      this.#options.io.progress({ percent: 100 });
      return;
    }
    this.#parts++;
    this.#options.io.progress(this.#progress(content === '' && thinking !== '' ? 'thinking' : 'answering'));
    this.#show();
  }

  /** Without a limit nobody knows how long the answer will be: only the tokens are counted. */
  #progress(node: string): JobProgress {
    const { limit } = this.#options;
    if (limit === undefined || limit <= 0) return { percent: 0, node, step: this.#parts };
    const percent = Math.min(99, Math.floor((100 * this.#parts) / limit));
    return { percent, node, step: Math.min(this.#parts, limit), steps: limit };
  }

  #show(): void {
    const { io, now, previewMs } = this.#options;
    if (this.#text === '' || now() - this.#shownAt < previewMs) return;
    this.#shownAt = now();
    io.preview({ mediaType: 'text/plain; charset=utf-8', data: Buffer.from(this.#text.slice(-maxPreviewChars)) });
  }
}
