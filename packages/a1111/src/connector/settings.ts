/** Bounds of the connector, in milliseconds and counts. */
export interface ConnectorSettings {
  /** Between two questions about the job that runs. */
  readonly pollMs: number;
  /** How long an engine may be away before its job is given up. */
  readonly goneMs: number;
  /** How long a cancelled job may take to end. Below the 10 s a worker waits for a connector. */
  readonly cancelMs: number;
  /** How often in a row a job is submitted that the engine answers with nonsense. */
  readonly maxSubmissions: number;
  /** Ends of the engine in the middle of the same job after which the job is not given to it again. */
  readonly maxDeaths: number;
}

export const defaultSettings: ConnectorSettings = {
  pollMs: 400,
  goneMs: 120_000,
  cancelMs: 8_000,
  maxSubmissions: 4,
  maxDeaths: 2,
};
