/** Bounds of the connector, in milliseconds and counts. */
export interface ConnectorSettings {
  /** A websocket that does not open within this is done without. */
  readonly openMs: number;
  /** Without news of a prompt for this long, the engine is asked. */
  readonly quietMs: number;
  /** Without a websocket the engine is asked at intervals growing from the first to the second. */
  readonly pollMs: readonly [number, number];
  /** How long an engine may be away before its job is given up. */
  readonly goneMs: number;
  /** How long a cancelled prompt may take to end. Below the 10 s a worker waits for a connector. */
  readonly cancelMs: number;
  /** How often in a row a prompt is submitted that the engine does not take. */
  readonly maxSubmissions: number;
  /** Ends of the engine in the middle of the same job after which the job is not given to it again. */
  readonly maxDeaths: number;
}

export const defaultSettings: ConnectorSettings = {
  openMs: 3_000,
  quietMs: 5_000,
  pollMs: [10, 500],
  goneMs: 120_000,
  cancelMs: 8_000,
  maxSubmissions: 6,
  maxDeaths: 2,
};
