import type { MachineEvent } from '@mgpu/control';
import type { InstanceStatus } from '@mgpu/core';
import type { Output } from './output.ts';

const isThere = ({ state }: InstanceStatus) =>
  state === 'starting' || state === 'running' || state === 'stopping' || state === 'cleaning';

/** Says what a stop is going to wait for, and on a terminal what it still waits for. */
export class StopView {
  readonly #output: Output;
  readonly #waitingFor: Set<string>;

  constructor(output: Output, instances: readonly InstanceStatus[]) {
    this.#output = output;
    this.#waitingFor = new Set(instances.filter(isThere).map(({ id }) => id));
    if (this.#waitingFor.size > 0) output.line(`stopping ${[...this.#waitingFor].join(', ')}`);
  }

  show(event: MachineEvent): void {
    if (event.event !== 'instance' || isThere(event.data) || !this.#waitingFor.delete(event.data.id)) return;
    this.#output.transient(this.#waitingFor.size > 0 ? `waiting for ${[...this.#waitingFor].join(', ')}` : '');
  }
}
