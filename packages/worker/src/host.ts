// The worker process: `node host.js <settings file>`. Started by WorkerService.
import { writeSync } from 'node:fs';
import { reportError, systemClock } from '@mgpu/core/jobs';
import { hostLog } from './host-log.ts';
import { readSettings } from './settings.ts';
import { WorkerHost } from './worker-host.ts';

const stdout = 1;
const log = hostLog((line) => {
  try {
    writeSync(stdout, line);
  } catch {
    // A full disk must not end the jobs, and there is nowhere else to say so.
  }
});

async function main(): Promise<void> {
  const settings = await readSettings(process.argv[2] ?? '');
  const host = new WorkerHost({ settings, clock: systemClock, log });
  const stopped = Promise.withResolvers<void>();
  let isStopping = false;
  const stop = () => {
    if (isStopping) return;
    isStopping = true;
    host.drain().then(stopped.resolve, stopped.reject);
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
  host.run().catch(stopped.reject);
  await stopped.promise;
}

const fail = (error: unknown) => {
  log.error(`the worker ends: ${reportError(error).message}`, { error });
  process.exit(1);
};
process.on('uncaughtException', fail);
process.on('unhandledRejection', fail);
main().then(() => process.exit(0), fail);
