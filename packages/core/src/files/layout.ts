import { join } from 'node:path';

/** Where things lie under `machine.root`; one instance's own folder is `instance`. */
export interface Layout {
  readonly root: string;
  /** Sockets, process records, instance state. Mode 0700. */
  readonly run: string;
  /** The daemon's own logs. */
  readonly logs: string;
  /** machine.json, boot traces, the data of a Redis of our own. */
  readonly state: string;
  readonly engines: string;
  readonly shared: string;
  readonly artifacts: string;
  /** `<root>/<instance id>`: what an instance wipes or fills is never shared. */
  instance(id: string): string;
}

export function layoutOf(root: string): Layout {
  return {
    root,
    run: join(root, 'run'),
    logs: join(root, 'logs'),
    state: join(root, 'state'),
    engines: join(root, 'engines'),
    shared: join(root, 'shared'),
    artifacts: join(root, 'artifacts'),
    instance: (id) => join(root, id),
  };
}
