import { type LogRecord, logRecord, type NamedLog, readLogs, selectInstances } from '@mgpu/core';
import type { FastifyReply } from 'fastify';
import type { ConfigReport, MachineStatus } from '../contract.ts';
import { textForm } from '../streams/event-stream.ts';
import { goneOf } from './gone.ts';
import { expectInstance } from './instances.ts';
import { logsNamed } from './logs.ts';
import { serviceHealth, uptimeMs } from './probes.ts';
import { answer, type Routing } from './route.ts';

/** The addresses that the predecessors had, for what still asks them; answers have their shapes, without an envelope. */
export function formerRoutes(routing: Routing): void {
  const { control, face, streams } = routing;

  answer(routing, 'formerStatus', async () => {
    const status = await control.overview();
    const running = status.instances.map((each) => {
      const { id, kind, gpu, port, endpoint, startedAt } = each;
      const { healthy, status: state, restarts, pid, error } = serviceHealth(each);
      const installed = !failedToInstall(kind, status);
      return {
        name: id,
        type: kind,
        status: installed ? state : 'not_installed',
        enabled: each.desired === 'up',
        health: healthy ? 'healthy' : 'unhealthy',
        installed,
        restarts,
        ...(pid === undefined ? {} : { pid }),
        ...(gpu === undefined ? {} : { gpu }),
        ...(port === undefined ? {} : { port }),
        ...(endpoint === undefined ? {} : { endpoint }),
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
    const services = control.status().instances.map((each) => ({
      name: each.id,
      type: each.kind,
      status: serviceHealth(each).status,
      ...(each.gpu === undefined ? {} : { gpu: each.gpu }),
      ...(each.port === undefined ? {} : { port: each.port }),
      ...(each.endpoint === undefined ? {} : { endpoint: each.endpoint }),
    }));
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
  answer(routing, 'formerComfyUILogs', async ({ query: { gpu, lines }, request, reply }) => {
    const logs = logsNamed(control, [`comfyui_gpu${gpu}`]);
    const stream = streams.open(reply, () => face.isTrusted(request), textForm);
    for await (const some of readLogs(logs, { last: lines, follow: true, signal: goneOf(reply) })) {
      const text = some.filter(({ isPartial }) => !isPartial).map((line) => `${logRecord(line).text}\n`);
      await stream.sendInTurn(text.join(''));
    }
    stream.end();
  });

  answer(routing, 'formerRestartMachine', ({ reply }) => {
    const { instances } = control.status();
    const ids = selectInstances(['all'], control.status()).map(({ id }) => id);
    const others = ids.filter((id) => id !== face.instance);
    control.operate('restart', others, { force: false }).catch(() => {}); // told by the state of each
    return reply.status(202).send({ message: `restarting ${others.length} of ${instances.length} services` });
  });
  answer(routing, 'formerRestartService', async ({ query: { service }, reply }) => {
    const ids = selectInstances([service], control.status()).map(({ id }) => id);
    const others = ids.filter((id) => id !== face.instance);
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
function notEnabled({ config }: ConfigReport) {
  const { services = {} } = config as { services?: Readonly<Record<string, { readonly enabled?: boolean }>> };
  const kinds = Object.entries(services).filter(([, { enabled }]) => enabled === false);
  return kinds.map(([kind]) => ({ name: kind, type: kind, status: 'not_configured', enabled: false }));
}

async function lastLines(logs: readonly NamedLog[], last: number, reply: FastifyReply): Promise<LogRecord[]> {
  const lines: LogRecord[] = [];
  for await (const some of readLogs(logs, { last, signal: goneOf(reply) })) lines.push(...some.map(logRecord));
  return lines;
}
