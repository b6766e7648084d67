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
  /** As it was asked for; secrets are left out. */
  readonly body: unknown;
  /** Of the answer. */
  readonly status: number;
}

/** Days an entry is kept. */
const keptDays = 90;
/** Characters of a body. */
const mostChars = 2_000;

/** Notes who changed what in `audit-YYYY-MM-DD.log`, one JSON object a line. Made with the first entry. */
export class AuditLog {
  readonly #dir: string | undefined;
  #file: DaemonLog | undefined;

  constructor(dir: string | undefined) {
    this.#dir = dir;
  }

  note({ who, what, body, status }: AuditEntry): void {
    if (this.#dir === undefined) return;
    this.#file ??= createDaemonLog({ dir: this.#dir, name: 'audit', maxDays: keptDays });
    const text = JSON.stringify(body) ?? '';
    const shown = text.length > mostChars ? `${text.slice(0, mostChars)}…` : body;
    this.#file.log.info(what, { ...who, ...(shown === undefined ? {} : { body: shown }), status });
  }

  async close(): Promise<void> {
    await this.#file?.close();
  }
}
