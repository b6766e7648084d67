import { BaseService, type Run, type ServiceContext, standaloneContext } from '@mgpu/core';
import type { z } from 'zod';
import { type WatchdogConfig, watchdogSchema } from './config.ts';
import { Watch } from './watch.ts';

/** Options of a watchdog; every key has a default. */
export type WatchdogOptions = z.input<typeof watchdogSchema>;

/**
 * Keeps the instances of a machine going: from its start to its stop it alone decides about restarts, ends what hangs, and
 * acts on faults. Without it nothing is restarted.
 */
export class WatchdogService extends BaseService<WatchdogConfig> {
  constructor(options: WatchdogOptions = {}, context: ServiceContext = standaloneContext({ kind: 'watchdog' })) {
    super(watchdogSchema.parse(options), context);
  }

  protected override async onStart(run: Run): Promise<void> {
    const watch = new Watch(this.config, this.context, run.signal);
    run.defer(() => watch.end());
    watch.begin();
  }
}
