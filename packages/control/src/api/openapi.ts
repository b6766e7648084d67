import type { MachineControl } from '../contract.ts';

/** The API in OpenAPI 3.1. */
export function openApiText(control: MachineControl): string {
  throw new Error(`not described yet: ${control.operations.length} operations`);
}
