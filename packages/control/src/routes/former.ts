import { type InstanceStatus, type LogRecord, logRecord, type NamedLog, readLogs } from '@mgpu/core';
import type { FastifyReply } from 'fastify';
import type { ConfigReport, MachineStatus } from '../contract.ts';
import { textForm } from '../streams/event-stream.ts';
import { goneOf } from './gone.ts';
import { expectInstance, idsToMove } from './instances.ts';
import { logsNamed, mostChars } from './logs.ts';
import { serviceHealth, uptimeMs } from './probes.ts';
import { answer, type Routing } from './route.ts';

/** One of the services of `GET /services`. */
export interface FormerServiceEntry {
  readonly name: string;
  readonly type: string;
  readonly status: string;
  readonly gpu?: number;
  readonly port?: number;
  readonly endpoint?: string;
}

/** The same in `GET /status`. */
export interface FormerService extends FormerServiceEntry {
  readonly enabled: boolean;
  /** Left out, as all that follows, for what is not enabled. */
  readonly health?: 'healthy' | 'unhealthy';
  readonly installed?: boolean;
  readonly restarts?: number;
  readonly pid?: number;
  /** ISO time. */
  readonly started_at?: string;
  /** Milliseconds. */
  readonly uptime?: number;
  /** Why it is not well. */
  readonly message?: string;
}

/** What `GET /status` says. */
export interface FormerStatus {
  readonly version: string;
  readonly machine_id: string;
  /** ISO time. */
  readonly timestamp: string;
  /** Milliseconds since the daemon was started. */
  readonly uptime: number;
  readonly services: Readonly<Record<string, FormerService>>;
}

/** The addresses that the predecessors had, for what still asks them; answers have their shapes, without an envelope. */
export function formerRoutes(routing: Routing): void {
  const { control, streams } = routing;

  answer(routing, 'formerStatus', async (): Promise<FormerStatus> => {
    const status = await control.overview();
    const running = status.instances.map((each): FormerService => {
      const { kind, startedAt } = each;
      const { healthy, restarts, pid, error } = serviceHealth(each);
      const installed = !failedToInstall(kind, status);
      const entry = entryOf(each);
      return {
        ...entry,
        status: installed ? entry.status : 'not_installed',
        enabled: each.desired === 'up',
        health: healthy ? 'healthy' : 'unhealthy',
        installed,
        restarts,
        ...(pid === undefined ? {} : { pid }),
        ...(startedAt === undefined ? {} : { started_at: startedAt, uptime: Date.now() - Date.parse(startedAt) }),
        ...(error === undefined ? {} : { message: error }),
      };
    });
    return {
      version: status.daemon.version,
      machine_id: status.machineId,
      timestamp: new Date().toISOString(),
      uptime: uptimeMs(status),
      services: Object.fromEntries([...notEnabled(control.config()), ...running].map((each) => [each.name, each])),
    };
  });
  answer(routing, 'formerVersion', () => ({ version: control.status().daemon.version }));
  answer(routing, 'formerServices', () => {
    const services = control.status().instances.map(entryOf);
    return { services, count: services.length };
  });
  answer(routing, 'formerServiceHealth', ({ params: { name }, reply }) => {
    const health = serviceHealth(expectInstance(control.status().instances, name));
    return reply.status(health.healthy ? 200 : 503).send({ service: name, ...health });
  });

  answer(routing, 'formerServiceLogs', async ({ params: { name }, query: { limit }, reply }) => ({
    service: name,
    logs: await lastLines(logsNamed(control, [name]), limit, reply),
  }));
  answer(routing, 'formerLogs', async ({ query: { limit }, reply }) => {
    const logs = (await lastLines(logsNamed(control), limit, reply)).toReversed();
    return { logs, count: logs.length };
  });
  answer(routing, 'formerComfyUILogs', async ({ query: { gpu, lines }, reply }) => {
    const logs = logsNamed(control, [`comfyui_gpu${gpu}`]);
    const stream = streams.open(reply, textForm);
    await streams.whole(stream, async () => {
      for await (const some of readLogs(logs, { last: lines, follow: true, signal: goneOf(reply) })) {
        const text = some.filter(({ isPartial }) => !isPartial).map((line) => `${logRecord(line).text}\n`);
        await stream.sendInTurn(text.join(''));
      }
    });
  });

  answer(routing, 'formerRestartMachine', ({ reply }) => {
    const { instances } = control.status();
    const others = idsToMove(routing, 'restart', ['all']);
    control.operate('restart', others, { force: false }).catch(() => {}); // told by the state of each
    return reply.status(202).send({ message: `restarting ${others.length} of ${instances.length} services` });
  });
  answer(routing, 'formerRestartService', async ({ query: { service }, reply }) => {
    const others = idsToMove(routing, 'restart', [service]);
    const outcomes = await control.operate('restart', others, { force: false });
    const failed = outcomes.filter(({ error }) => error !== undefined);
    if (failed.length === 0) return { message: `restarted ${others.join(', ')}` };
    return reply.status(502).send({ error: failed.map(({ error }) => error?.message).join('; ') });
  });
  for (const id of ['formerRefreshStatus', 'formerRefreshStatusPost'] as const)
    answer(routing, id, () => ({
      message: 'nothing to do: what is told is never old',
      machine_id: control.status().machineId,
      timestamp: new Date().toISOString(),
    }));
}

/** What its install step of the last boot says; what needs none is there. */
const failedToInstall = (kind: string, { boot }: MachineStatus): boolean =>
  boot.phases.some(({ nodes }) => nodes.some(({ id, outcome }) => id === `${kind}:install` && outcome === 'failed'));

/** What could be configured, and is not. */
function notEnabled({ config }: ConfigReport): FormerService[] {
  const { services = {} } = config as { services?: Readonly<Record<string, { readonly enabled?: boolean }>> };
  const kinds = Object.entries(services).filter(([, { enabled }]) => enabled === false);
  return kinds.map(([kind]) => ({ name: kind, type: kind, status: 'not_configured', enabled: false }));
}

function entryOf(instance: InstanceStatus): FormerServiceEntry {
  const { id, kind, gpu, port, endpoint } = instance;
  return {
    name: id,
    type: kind,
    status: serviceHealth(instance).status,
    ...(gpu === undefined ? {} : { gpu }),
    ...(port === undefined ? {} : { port }),
    ...(endpoint === undefined ? {} : { endpoint }),
  };
}

async function lastLines(logs: readonly NamedLog[], last: number, reply: FastifyReply): Promise<LogRecord[]> {
  const lines: LogRecord[] = [];
  for await (const some of readLogs(logs, { last, lastChars: mostChars, signal: goneOf(reply) }))
    lines.push(...some.map(logRecord));
  return lines;
}
