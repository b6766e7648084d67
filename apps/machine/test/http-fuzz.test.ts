import { readFileSync } from 'node:fs';
import type { MachineStatus, TaskStatus } from '@mgpu/control';
import type { JobStatus } from '@mgpu/core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ApiContract, type ApiDocument } from './api-contract.ts';
import { brokenHttp, sendRaw } from './fuzz/broken-http.ts';
import { Chance } from './fuzz/chance.ts';
import { Requests, type Shot, spoiled, wouldStopIt } from './fuzz/requests.ts';
import { type Heard, HttpFace } from './http-face.ts';
import { type Box, invertWorkflow, openBox, samplerWorkflow } from './support.ts';

/** `MGPU_FUZZ=6000` is the long form; `MGPU_SEED` repeats what another run tried. */
const total = Number(process.env.MGPU_FUZZ ?? 600);
const chance = new Chance(Number(process.env.MGPU_SEED ?? Math.floor(Math.random() * 2 ** 31)));
const atATime = 8;
const answerMs = 60_000;
const mostGrowthMiB = 100;

let box: Box;
let face: HttpFace;
let document: ApiDocument;
let contract: ApiContract;
let requests: Requests;
/** Paths of the operations that change something. */
let changing: ReadonlySet<string>;

beforeAll(async () => {
  box = await openBox(() => ({ http: { requestsPerSecond: 1_000_000 } }));
  const up = await box.mgpu(['up', '--mock', '1', '--detach']);
  expect(up).toMatchObject({ code: 0, stderr: '' });
  face = new HttpFace(box);
  document = (await face.ask({ path: '/v1/openapi.json' })).json<ApiDocument>();
  contract = new ApiContract(document);
  const submit = async (query: string, prompt: object) => {
    const heard = await face.ask({
      method: 'POST',
      path: `/v1/jobs${query}`,
      body: { type: 'comfyui', input: { prompt } },
    });
    return heard.json<{ data: JobStatus }>().data;
  };
  const done = await submit('?wait=60', invertWorkflow());
  const cancelled = await submit('', samplerWorkflow(1_000));
  await face.ask({ method: 'DELETE', path: `/v1/jobs/${cancelled.id}` });
  await face.ask({ path: `/v1/jobs/${cancelled.id}/events` }); // up to its end
  const operations = (await face.ask({ path: '/v1/operations' })).json<{ data: { name: string; changes: boolean }[] }>()
    .data;
  changing = new Set(operations.filter((each) => each.changes).map(({ name }) => `/v1/operations/${name}`));
  const instances = (await status()).instances.map(({ id }) => id);
  const artifact = done.result?.artifacts[0]?.name ?? '';
  requests = new Requests(chance, document, contract.endpoints, { instances, jobs: [done.id, cancelled.id], artifact });
}, 90_000);
afterAll(async () => {
  face?.[Symbol.dispose]();
  await box?.[Symbol.asyncDispose]();
});

const status = async () => (await face.ask({ path: '/v1/status' })).json<{ data: MachineStatus }>().data;

/** Everything that somebody could have changed. */
async function everything() {
  const { instances, daemon, state } = await status();
  const [jobs, tasks] = await Promise.all(
    ['/v1/jobs?limit=500', '/v1/tasks'].map(async (path) => (await face.ask({ path })).json().data),
  );
  return { daemon, state, jobs, tasks, instances: instances.map(({ id, run, state }) => ({ id, run, state })) };
}

const residentMiB = (pid: number) =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;

const told = ({ method, path, headers, body }: Shot) => {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return `${method} ${path.slice(0, 200)} ${JSON.stringify(headers ?? {}).slice(0, 200)} ${text?.slice(0, 200)} (${text?.length})`;
};

/** Undefined where the server hung up. */
async function shoot(shot: Shot): Promise<Heard | undefined> {
  try {
    return await face.ask({ ...shot, enoughBytes: 0, signal: AbortSignal.timeout(answerMs) });
  } catch (error) {
    if (shot.mayBeCut) return undefined;
    throw error;
  }
}

const isStack = /\n\s+at .+[:(]|node:internal|\.[cm]?[jt]s:\d+:\d+/;

/** What must hold for every answer, whatever was asked. */
function problemsOf(shot: Shot, heard: Heard): string[] {
  const problems: string[] = [];
  const { operationId: id } = shot.endpoint;
  const isLog = /logs/i.test(heard.path) && heard.status === 200;
  // What failed behind us may have a cause that is none of ours, but never a refusal.
  const unexpected = heard.status >= 502 ? '"data":{"code":"CORE_UNEXPECTED"' : 'CORE_UNEXPECTED';
  if (!isLog && heard.text.includes(unexpected)) problems.push('it is unexpected');
  if (!isLog && isStack.test(heard.text)) problems.push('it shows a stack');
  if (heard.status >= 500 && contract.problems(id, heard).length > 0)
    problems.push('it failed in a way that is not described');
  const isUnderstood = ![400, 414, 431].includes(heard.status);
  if (shot.isRouted && shot.method === shot.endpoint.method && isUnderstood)
    problems.push(...contract.problems(id, heard));
  return problems;
}

/** Sends so many requests, some at a time; fails with what was wrong with which of them. */
async function fire(count: number, next: () => Shot, check: (shot: Shot, heard: Heard) => string[]): Promise<void> {
  const wrong: string[] = [];
  let left = count;
  const one = async () => {
    while (left-- > 0 && wrong.length < 20) {
      const shot = next();
      try {
        const heard = await shoot(shot);
        if (!heard) continue;
        for (const problem of [...problemsOf(shot, heard), ...check(shot, heard)])
          wrong.push(`${told(shot)}\n   → ${heard.status} ${problem}: ${heard.text.slice(0, 400)}`);
      } catch (error) {
        wrong.push(`${told(shot)}\n   → ${error}`);
      }
    }
  };
  await Promise.all(Array.from({ length: atATime }, one));
  expect(wrong, `MGPU_SEED=${chance.seed} MGPU_FUZZ=${total} repeats it`).toEqual([]);
}

const forgedTokens = (): readonly Partial<Shot>[] => [
  { token: null },
  { token: 'x' },
  { token: `${face.token}x` },
  { token: face.token.slice(0, -1) },
  { token: face.token.toUpperCase() },
  { token: ` ${face.token}, x` },
  { token: null, headers: { authorization: `Basic ${Buffer.from(`x:${face.token}`).toString('base64')}` } },
  { token: null, headers: { authorization: face.token } },
  { token: null, headers: { authorization: ['Bearer x', `Bearer ${face.token}`] } },
  { token: null, headers: { 'x-api-key': face.token, cookie: `token=${face.token}` } },
  { token: null, headers: { authorization: `Bearer\t${face.token}` } },
  { token: 'x'.repeat(501) },
];

test('lets nobody in without the token, whatever is asked and however', async () => {
  const before = await everything();
  const forged = forgedTokens();
  const isOpen = ({ endpoint }: Shot) => endpoint.security.length === 0;
  const next = (): Shot => {
    const isTame = chance.is(0.6);
    const shot = requests.next({ isTame });
    const { headers, ...token } = chance.pick(forged);
    return { ...shot, ...token, headers: { ...shot.headers, ...headers } };
  };
  await fire(Math.ceil(total * 0.4), next, (shot, { status, text }) => {
    const isRefused = status === 401 || status === 403;
    if (isOpen(shot)) return [];
    if (shot.isRouted && !isRefused) return ['it was let in'];
    return text.includes('"kind":"Error"') || status >= 400 || shot.method === 'OPTIONS' ? [] : ['it was let in'];
  });
  expect(await everything()).toEqual(before);
}, 600_000);

test('survives whatever somebody with the token sends: answers as described, and stays the same process', async () => {
  const { daemon } = await status();
  const hostile = (): Shot => {
    const shot = requests.next();
    if (!wouldStopIt(shot)) return changing.has(shot.endpoint.path) ? { ...shot, body: spoiled(shot.body) } : shot;
    const endpoint = contract.endpoint('down');
    return { endpoint, method: 'POST', path: '/v1/down', body: '{"force":"yes"}', isRouted: true, mayBeCut: false };
  };
  // What is loaded on demand is there, and what the largest body takes has been taken.
  await fire(Math.ceil(total * 0.1), hostile, () => []);
  const largest = { type: 'x', input: 'x'.repeat(16 * 1024 * 1024 - 1_000) };
  expect((await face.ask({ method: 'POST', path: '/v1/jobs', body: largest })).status).toBeLessThan(500);
  const beforeMiB = residentMiB(daemon.pid);
  await fire(Math.ceil(total * 0.5), hostile, () => []);
  const tasks = (await face.ask({ path: '/v1/tasks' })).json<{ data: TaskStatus[] }>().data;
  expect(tasks.filter(({ operation }) => changing.has(`/v1/operations/${operation}`))).toEqual([]);
  for (const bytes of brokenHttp(face.token)) {
    const heard = await sendRaw(face.port, bytes);
    expect(heard).not.toMatch(/^HTTP\/1.1 5/m);
    expect(heard).not.toMatch(isStack);
    expect(heard).not.toContain('CORE_UNEXPECTED');
  }
  const after = await status();
  expect(after).toMatchObject({ daemon, state: 'running' });
  await expect.poll(() => residentMiB(daemon.pid) - beforeMiB).toBeLessThan(mostGrowthMiB);
}, 900_000);
