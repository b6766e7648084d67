import { createDaemonLog, type DaemonLog } from '@mgpu/core';

/** Who asked: whoever may open the control socket, or somebody over TCP. */
export type Asker =
  | { readonly face: 'socket' }
  | {
      readonly face: 'tcp';
      readonly address: string;
      /** The first characters of the hash of the token that was shown; undefined where none was, or another. */
      readonly fingerprint: string | undefined;
    };

/** Something that somebody changed, or was kept from changing. */
export interface AuditEntry {
  readonly who: Asker;
  /** `POST /v1/instances/comfyui_gpu0/stop` */
  readonly what: string;
  /** As they came; secrets are left out. */
  readonly query: unknown;
  readonly body: unknown;
  /** Of the answer. */
  readonly status: number;
}

/** Days an entry is kept. */
const keptDays = 90;
/** Characters of a query or a body. */
const mostChars = 2_000;

/** Notes who changed what in `audit-YYYY-MM-DD.log`, one JSON object a line. Made with the first entry. */
export class AuditLog {
  readonly #dir: string | undefined;
  #file: DaemonLog | undefined;

  constructor(dir: string | undefined) {
    this.#dir = dir;
  }

  note({ who, what, query, body, status }: AuditEntry): void {
    if (this.#dir === undefined) return;
    this.#file ??= createDaemonLog({ dir: this.#dir, name: 'audit', maxDays: keptDays });
    this.#file.log.info(what, { ...who, ...shown('query', query), ...shown('body', body), status });
  }

  async close(): Promise<void> {
    await this.#file?.close();
  }
}

/** Nothing where there is nothing. */
function shown(name: string, value: unknown): Record<string, unknown> {
  const text = JSON.stringify(value) ?? '';
  if (text === '' || text === '{}' || text === 'null') return {};
  return { [name]: text.length > mostChars ? `${text.slice(0, mostChars)}…` : value };
}
