import { type Clock, createDaemonLog, type DaemonLog } from '@mgpu/core';

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
/** What strangers ask in vain, within a minute; of more than that only the number is noted. */
const mostRefused = 20;
const minuteMs = 60_000;
const refusals = new Set([401, 403, 429]);

/** Notes who changed what in `audit-YYYY-MM-DD.log`, one JSON object a line. Made with the first entry. */
export class AuditLog {
  readonly #dir: string | undefined;
  readonly #clock: Clock;
  #file: DaemonLog | undefined;
  #refused = { minute: 0, count: 0 };

  constructor(dir: string | undefined, clock: Clock) {
    this.#dir = dir;
    this.#clock = clock;
  }

  note({ who, what, query, body, status }: AuditEntry): void {
    if (!refusals.has(status)) {
      this.#write(what, { ...who, ...shown('query', query), ...shown('body', body), status });
      return;
    }
    const minute = Math.floor(this.#clock.elapsed() / minuteMs);
    if (minute !== this.#refused.minute) this.#tellRefused(minute);
    this.#refused.count += 1;
    if (this.#refused.count <= mostRefused) this.#write(what, { ...who, status });
  }

  /** Of the minute that is over. */
  #tellRefused(minute: number): void {
    const untold = this.#refused.count - mostRefused;
    if (untold > 0) this.#write(`${untold} more requests were refused within a minute`, {});
    this.#refused = { minute, count: 0 };
  }

  #write(what: string, fields: Record<string, unknown>): void {
    if (this.#dir === undefined) return;
    this.#file ??= createDaemonLog({ dir: this.#dir, name: 'audit', maxDays: keptDays });
    this.#file.log.info(what, fields);
  }

  async close(): Promise<void> {
    this.#tellRefused(0);
    await this.#file?.close();
  }
}

/** Nothing where there is nothing. */
function shown(name: string, value: unknown): Record<string, unknown> {
  const text = JSON.stringify(value) ?? '';
  if (text === '' || text === '{}' || text === 'null') return {};
  return { [name]: text.length > mostChars ? `${text.slice(0, mostChars)}…` : value };
}
