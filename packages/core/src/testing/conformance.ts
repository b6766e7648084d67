import { readdirSync } from 'node:fs';
import { getActiveResourcesInfo } from 'node:process';
import { setImmediate as tick } from 'node:timers/promises';
import { systemClock } from '../clock.ts';
import type { AnyServiceDefinition } from '../definition/define-service.ts';
import { processRecordFile } from '../process/process-record.ts';
import { environmentOf, listProcesses } from '../process/process-table.ts';
import { runMarker } from '../process/process-tree.ts';
import type { BaseService } from '../service/base-service.ts';
import type { ServiceContext } from '../service/context.ts';
import type { ServiceStatus } from '../service/types.ts';
import { record } from './recorder.ts';
import { type TimerWatch, watchTimers } from './timer-watch.ts';

/** What the suite needs to try a service. */
export interface ConformanceOptions {
  readonly definition: AnyServiceDefinition;
  /** Configuration below `services.<kind>`, as a user writes it. */
  readonly config: Readonly<Record<string, unknown>>;
  /** A fresh context (and whatever has to run beside it) for each case. */
  readonly context: () =>
    | Promise<ServiceContext & (Disposable | AsyncDisposable)>
    | (ServiceContext & (Disposable | AsyncDisposable));
  /** The test framework's own `test`, e.g. vitest's. */
  readonly test: (name: string, body: () => Promise<void>) => void;
}

/**
 * The promises of DESIGN's service contract as test cases: constructing opens nothing; start resolves when ready and is
 * shared; status never lies; stop is idempotent, shared, cancels a start, and leaves no process, record or timer; a
 * process outlives its daemon and is the next one's.
 */
export function serviceConformance({ definition, config, context, test }: ConformanceOptions): void {
  const settings: unknown = definition.schema.parse(config);
  const installIn = ({ layout, log, clock, env, machine }: ServiceContext) =>
    definition.install?.({ layout, log, clock, env, machine, signal: new AbortController().signal }, settings);
  const inContext = (body: (service: BaseService<object>, context: ServiceContext) => Promise<void>) => async () => {
    const held = await context();
    try {
      await installIn(held);
      const service = definition.create(settings, held);
      try {
        await body(service, held);
      } finally {
        await service.stop({ force: true });
      }
    } finally {
      if (Symbol.asyncDispose in held) await held[Symbol.asyncDispose]();
      else held[Symbol.dispose]();
    }
  };

  test(
    `${definition.kind}: constructing a thousand opens nothing`,
    inContext(async (_, held) => {
      await tick();
      const before = getActiveResourcesInfo().length;
      const services = Array.from({ length: 1_000 }, () => definition.create(settings, held));
      expect(
        services.every(({ status }) => status.state === 'stopped'),
        'a constructed service is stopped',
      );
      expect(getActiveResourcesInfo().length <= before, 'constructing opens no handle');
    }),
  );

  test(
    `${definition.kind}: install can be repeated`,
    inContext(async (_, held) => {
      await installIn(held);
    }),
  );

  test(
    `${definition.kind}: starts once for all callers and says so truthfully`,
    inContext(async (service) => {
      using states = record<ServiceStatus>(service, 'status');
      await Promise.all([service.start(), service.start()]);
      const { state, run } = service.status;
      expect(state === 'running' || state === 'completed', `after start the state is ${state}`);
      const starting = states.events.filter((each) => each.state === 'starting');
      expect(starting.length === 1 && starting[0]?.health === 'unknown', 'there is one start, of unknown health');
      await service.start();
      expect(service.status.run === run, 'starting a running service begins no new run');
    }),
  );

  test(
    `${definition.kind}: stops twice, at once and again, and leaves nothing`,
    inContext(async (service, held) => {
      const before = holdings();
      using timers = watchTimers();
      await timers.run(() => service.start());
      const { run } = service.status;
      await Promise.all([service.stop(), service.stop()]);
      await service.stop();
      expect(service.status.state === 'stopped', `after stop the state is ${service.status.state}`);
      expectNothingLeft(held, run);
      await expectNoMoreThan(before, timers);
    }),
  );

  test(
    `${definition.kind}: starts again after a stop, as a new run`,
    inContext(async (service) => {
      await service.start();
      const first = service.status.run;
      await service.restart();
      expect(service.status.run !== first || service.status.state === 'completed', 'a restart is a new run');
    }),
  );

  test(
    `${definition.kind}: goes on with its process when the daemon died`,
    inContext(async (service, held) => {
      await service.start();
      const { state, pid, run } = service.status;
      const file = processRecordFile(held.layout.run, held.id);
      const former = file.read();
      if (!held.survive || state !== 'running' || former === undefined) return;
      file.write({ ...former, owner: { pid: process.pid, startTime: 0 } });
      const next = definition.create(settings, held);
      try {
        await next.start();
        const { adopted, outdated, ...now } = next.status;
        expect(now.pid === pid && now.run === run && adopted === true, 'the next service has the same process and run');
        expect(outdated === undefined, 'with the same settings it is not outdated');
      } finally {
        // Not by force: the former one, which is not dead in truth, looks at the same ports at the same time.
        await next.stop();
      }
      expectNothingLeft(held, run);
    }),
  );

  test(
    `${definition.kind}: a stop cancels a start and leaves nothing`,
    inContext(async (service, held) => {
      using states = record<ServiceStatus>(service, 'status');
      const start = service.start().then(
        () => 'started',
        (error: { code?: string }) => error.code,
      );
      await states.until(({ state }) => state === 'starting');
      const { run } = service.status;
      await service.stop();
      const outcome = await start;
      expect(outcome === 'CORE_START_ABORTED' || outcome === 'started', `the cancelled start ended with ${outcome}`);
      expect(service.status.state === 'stopped', `after stop the state is ${service.status.state}`);
      expectNothingLeft(held, run);
    }),
  );

  test(
    `${definition.kind}: a start with a fired signal does nothing`,
    inContext(async (service, held) => {
      const outcome = await service.start({ signal: AbortSignal.abort() }).then(
        () => 'started',
        (error: { code?: string }) => error.code,
      );
      expect(outcome === 'CORE_START_ABORTED', `the start ended with ${outcome}`);
      expectNothingLeft(held, undefined);
    }),
  );

  test(
    `${definition.kind}: a listener that throws harms nobody`,
    inContext(async (service) => {
      service.on('status', () => {
        throw new Error('a bad listener');
      });
      await service.start();
    }),
  );

  test(
    `${definition.kind}: tells its health when asked, running or not`,
    inContext(async (service) => {
      const before = await service.health();
      expect(before.health !== 'ready', 'what is not running is not ready');
      await service.start();
      const { health, reason } = await service.health();
      const { state } = service.status;
      expect(
        state === 'completed' || health === 'ready' || health === 'degraded',
        `running, its health is ${health} (${reason})`,
      );
    }),
  );
}

function expectNothingLeft(context: ServiceContext, run: string | undefined): void {
  const marker = `${runMarker}=${run}`;
  const mine = run === undefined ? [] : listProcesses().filter(({ pid }) => environmentOf(pid).includes(marker));
  expect(mine.length === 0, `processes are left: ${mine.map(({ pid }) => pid).join(', ')}`);
  let records: string[] = [];
  try {
    records = readdirSync(context.layout.run).filter((name) => name.startsWith(`${context.id}.`));
  } catch {
    // the folder was never made
  }
  expect(records.length === 0, `files are left in the run folder: ${records.join(', ')}`);
}

/** What this process holds that would outlive a stop: children, and servers and sockets that keep it alive. */
function holdings(): Map<string, number> {
  const kinds = ['TCPServerWrap', 'TCPSocketWrap', 'PipeServerWrap', 'PipeWrap', 'UDPWrap', 'FSEventWrap'];
  const held = getActiveResourcesInfo();
  const counts = new Map(kinds.map((kind) => [kind, held.filter((each) => each === kind).length]));
  const children = listProcesses().filter(({ parent }) => parent === process.pid);
  return counts.set('child process', children.length);
}

/** Milliseconds. Some libraries keep a timer of two seconds behind a closed connection: that ends by itself. */
const lettingGoMs = 3_000;

/** Waits a moment: sockets and children are let go by the event loop, a little after they were told. */
async function expectNoMoreThan(before: ReadonlyMap<string, number>, timers: TimerWatch): Promise<void> {
  const end = performance.now() + lettingGoMs;
  for (;;) {
    const more = [...holdings()].filter(([kind, count]) => count > (before.get(kind) ?? 0)).map(([kind]) => kind);
    if (timers.running > 0) more.push('timer');
    if (more.length === 0) return;
    expect(performance.now() < end, `held after stop: ${more.join(', ')}`);
    await systemClock.sleep(10);
  }
}

function expect(holds: boolean, promise: string): asserts holds {
  if (!holds) throw new Error(`conformance: ${promise}`);
}
