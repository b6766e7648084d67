/** Something an engine said went wrong. Times are monotonic milliseconds. */
export interface EngineFailure {
  readonly at: number;
  readonly instance: string;
  /** A job's error as its worker reports it, or a line of the instance's log. */
  readonly text: string;
  /** The error's code, where there is one: `<ENGINE>_OUT_OF_MEMORY` and `<ENGINE>_ENGINE_FAULT` mean what they say. */
  readonly code?: string;
  /** The job it happened to, where that is known. */
  readonly job?: string;
}
