// The HTTP API under load: followers of events and logs, requests for the status in even steps, and readers that read nothing;
// mgpu beside supervisord (XML-RPC, and its tail of a log), each with the same programs, one of which prints without a pause.
// Usage: npm run bench:http [-- --seconds 60 --rate 500 --followers 200 --services 8 --lines 400]
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { parseArgs } from 'node:util';
import { layoutOf, readLog } from '@mgpu/core';
import { leasePorts } from '@mgpu/core/testing';
import { Fleet } from './fleet.ts';
import type { Load, LoadReport } from './http-load.ts';
import { processorTime, residentMemory } from './processes.ts';
import { mgpu } from './supervisors/mgpu.ts';
import { supervisord } from './supervisors/supervisord.ts';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    rate: { type: 'string', default: '500' },
    followers: { type: 'string', default: '200' },
    services: { type: 'string', default: '8' },
    lines: { type: 'string', default: '400' },
    stalled: { type: 'string', default: '5' },
  },
});
const [seconds, rate, followers, services, lines, stalled] = [
  values.seconds,
  values.rate,
  values.followers,
  values.services,
  values.lines,
  values.stalled,
].map(Number) as [number, number, number, number, number, number];

interface Contender {
  readonly name: string;
  /** Of the process that answers. */
  pid(): number;
  load(): Omit<Load, 'seconds' | 'requestsPerSecond' | 'stalled'>;
  /** Lines that the ticker has printed, and those that are not in its log. */
  captured?(): Promise<{ readonly printed: number; readonly missing: number }>;
}

async function drive(load: Load, pid: number) {
  const memory = [residentMemory(pid)];
  const processor = processorTime(pid);
  const child = spawn(process.execPath, [join(import.meta.dirname, 'http-load.ts'), JSON.stringify(load)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const looking = setInterval(() => memory.push(residentMemory(pid)), 500);
  const report: LoadReport = JSON.parse(await text(child.stdout));
  clearInterval(looking);
  return { report, memory, processor: processorTime(pid) - processor };
}

async function measure(contender: Contender): Promise<void> {
  const load = { ...contender.load(), seconds, requestsPerSecond: rate, stalled };
  const { report, memory, processor } = await drive(load, contender.pid());
  const at = (share: number) => (report.tookMs[Math.ceil(report.tookMs.length * share) - 1] ?? 0).toFixed(1);
  console.log(`\n${contender.name}`);
  console.log(`  answers     p50 ${at(0.5)}  p90 ${at(0.9)}  p99 ${at(0.99)}  max ${at(1)} ms`);
  console.log(`  requests    ${report.tookMs.length}, of which ${report.failed} failed`);
  console.log(`  followers   ${report.followers}, of which ${report.cutOff} were cut off`);
  console.log(`  lines       ${report.lines} told, ${report.wrongLines} missing or twice`);
  console.log(`  stalled     ${report.stalled}, of which ${report.dropped} were dropped`);
  console.log(`  memory      ${memory[0]?.toFixed(0)} MB before, ${Math.max(...memory).toFixed(0)} MB at most`);
  console.log(`  processor   ${((processor / seconds) * 100).toFixed(0)} % of a core`);
  const captured = await contender.captured?.();
  if (captured) console.log(`  capture     ${captured.printed} lines printed, ${captured.missing} of them missing`);
}

/** Whether all numbers are there, from the first to the last line that the log has. */
async function capturedIn(file: string) {
  let next = 0;
  let missing = 0;
  for await (const { text } of readLog(file)) {
    const number = Number(/^tick (\d{12}) /.exec(text)?.[1]);
    if (number !== next) missing += Math.abs(number - next);
    next = number + 1;
  }
  return { printed: next, missing };
}

const bearer = (root: string) => ({
  authorization: `Bearer ${readFileSync(join(layoutOf(root).state, 'http-token'), 'utf8').trim()}`,
});

console.log(
  `${followers} followers and ${rate} requests/s for ${seconds} s, ${services} services, ${lines} lines/s; ` +
    `${availableParallelism()} cores, Node ${process.version}`,
);
{
  using ports = await leasePorts(1);
  using fleet = await Fleet.ofServices(services, { ticker: lines });
  const deployment = await mgpu({ httpPort: ports.first }).deploy(fleet);
  await deployment.start();
  const root = join(fleet.folder, 'root');
  try {
    await measure({
      name: 'mgpu',
      pid: () => fleet.supervisors().find((pid) => residentMemory(pid) > 50) ?? 0,
      load: () => {
        const get = (path: string) => ({ method: 'GET', path, headers: bearer(root) });
        return {
          port: ports.first,
          asked: get('/v1/status'),
          followers: [
            { ...get('/v1/events'), count: Math.ceil(followers / 2) },
            { ...get(`/v1/logs/events?select=fleet-a_gpu${services}&lines=1`), count: Math.floor(followers / 2) },
          ],
        };
      },
      captured: () => capturedIn(join(layoutOf(root).instance(`fleet-a_gpu${services}`), 'logs', 'output.log')),
    });
  } finally {
    await deployment.stop();
  }
}
const peer = await supervisord();
if ('why' in peer) console.log(`\n${peer.name}: ${peer.why}`);
else {
  using ports = await leasePorts(1);
  using fleet = await Fleet.ofServices(services, { ticker: lines });
  const deployment = await peer.deploy(fleet, { logs: true, httpPort: ports.first });
  await deployment.start();
  await fleet.up();
  try {
    await measure({
      name: peer.name,
      pid: () => fleet.supervisors()[0] ?? 0,
      load: () => ({
        port: ports.first,
        asked: {
          method: 'POST',
          path: '/RPC2',
          headers: { 'content-type': 'text/xml' },
          body: '<?xml version="1.0"?><methodCall><methodName>supervisor.getAllProcessInfo</methodName><params/></methodCall>',
        },
        followers: [{ method: 'GET', path: '/logtail/ticker', headers: {}, count: followers }],
      }),
    });
  } finally {
    await deployment.stop();
  }
}
