import { type Clock, type Logger, silentLogger, systemClock } from '@mgpu/core';
import { AuditLog } from './audit-log.ts';
import type { MachineControl } from './contract.ts';
import { EventHistory } from './streams/event-history.ts';
import { TaskList } from './tasks/task-list.ts';

export interface ControlApiOptions {
  readonly log?: Logger;
  /** Folder of `audit-YYYY-MM-DD.log`: who changed what. Default: nobody notes it. */
  readonly auditDir?: string;
  readonly clock?: Clock;
}

/** A machine as it is asked over its faces, the control socket and HTTP, and what they have in common. */
export class ControlApi implements AsyncDisposable {
  readonly control: MachineControl;
  readonly log: Logger;
  readonly history = new EventHistory();
  readonly tasks: TaskList;
  readonly audit: AuditLog;
  readonly #unsubscribe: () => void;
  #openApi: Promise<string> | undefined;

  constructor(control: MachineControl, { log = silentLogger, auditDir, clock = systemClock }: ControlApiOptions = {}) {
    this.control = control;
    this.log = log;
    this.tasks = new TaskList(control.operations, log);
    this.audit = new AuditLog(auditDir, clock);
    this.#unsubscribe = control.subscribe((event) => this.history.add(event));
  }

  /** What can be asked, as a document of OpenAPI 3.1. Whoever asks first waits for it to be made; nobody else pays for it. */
  openApi(): Promise<string> {
    this.#openApi ??= import('./api/openapi.ts').then(({ openApiText }) => openApiText(this.control));
    return this.#openApi;
  }

  /** Cancels tasks; resolves when they have ended. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#unsubscribe();
    await this.tasks.end();
    await this.audit.close();
  }
}
