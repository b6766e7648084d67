/** Bounds of the connector, in milliseconds and counts. */
export interface ConnectorSettings {
  /** How long a server may be away before its job is given up. */
  readonly goneMs: number;
  /** How often in a row a job is tried that the server has no room for, with pauses that grow. */
  readonly maxBusy: number;
  /** Times a server may break off in the middle of the same job before the job is not given to it again. */
  readonly maxDeaths: number;
  /** Between two previews of a text. */
  readonly previewMs: number;
}

export const defaultSettings: ConnectorSettings = { goneMs: 120_000, maxBusy: 8, maxDeaths: 2, previewMs: 250 };
