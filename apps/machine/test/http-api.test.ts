import { createHash } from 'node:crypto';
import type { JobResult, JobStatus } from '@mgpu/core';
import { Validator } from '@seriousme/openapi-schema-validator';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ApiContract, type ApiDocument } from './api-contract.ts';
import { type Heard, HttpFace, type Question } from './http-face.ts';
import { type Box, invertWorkflow, openBox, samplerWorkflow } from './support.ts';

let box: Box;
let face: HttpFace;
let contract: ApiContract;
/** Endpoints that have done what was asked of them. */
const answered = new Set<string>();

beforeAll(async () => {
  box = await openBox();
  const up = await box.mgpu(['up', '--mock', '1', '--detach'], { MGPU_SIM: JSON.stringify({ stepMs: 20 }) });
  expect(up).toMatchObject({ code: 0, stderr: '' });
  face = new HttpFace(box);
  contract = new ApiContract((await face.ask({ path: '/v1/openapi.json', token: null })).json<ApiDocument>());
}, 60_000);
afterAll(async () => {
  face?.[Symbol.dispose]();
  await box?.[Symbol.asyncDispose]();
});

/** Asks, and expects an answer of this status as the document describes it. */
async function ask(id: string, status: number, { path, ...more }: Partial<Question> = {}): Promise<Heard> {
  const endpoint = contract.endpoint(id);
  const heard = await face.ask({ method: endpoint.method, path: path ?? endpoint.path, ...more });
  expect({ id, status: heard.status, problems: contract.problems(id, heard) }).toEqual({ id, status, problems: [] });
  if (status < 400) answered.add(id);
  return heard;
}

const code = (heard: Heard) => heard.json<{ data: { code: string } }>().data.code;
const inverted = { type: 'comfyui', input: { prompt: invertWorkflow() } };
const slow = (seed: number) => ({ type: 'comfyui', input: { prompt: samplerWorkflow(5_000, seed) } });
const jobOf = (heard: Heard) => heard.json<{ data: JobStatus }>().data;

test('is described by a valid document, the same with and without the token', async () => {
  const { text } = await ask('getOpenApi', 200);
  expect((await ask('getOpenApi', 200, { token: null })).text).toBe(text);
  expect(await new Validator().validate(JSON.parse(text))).toMatchObject({ valid: true });
});

test('answers as it is described, and has nothing in an answer that is not', async () => {
  for (const id of ['getLive', 'getHealth', 'getReady']) await ask(id, 200, { token: null });
  await ask('getHealth', 200);
  const id = 'comfyui_gpu0';
  for (const plain of ['getMetrics', 'getStatus', 'getBoot', 'getIncidents', 'getConfig', 'listInstances', 'getLogs'])
    await ask(plain, 200);
  for (const plain of ['listJobs', 'listOperations', 'listTasks', 'formerStatus', 'formerVersion', 'formerServices'])
    await ask(plain, 200);
  for (const plain of ['formerLogs', 'formerRefreshStatus', 'formerRefreshStatusPost']) await ask(plain, 200);
  await ask('getInstance', 200, { path: `/v1/instances/${id}` });
  await ask('formerServiceHealth', 200, { path: `/services/${id}/health` });
  await ask('formerServiceLogs', 200, { path: `/services/${id}/logs?limit=5` });
  await ask('formerComfyUILogs', 200, { path: '/comfyui/logs?gpu=0', enoughBytes: 1 });
  await ask('getEvents', 200, { enoughBytes: 100 });
  await ask('followLogs', 200, { path: '/v1/logs/events?select=daemon&select=comfyui', enoughBytes: 100 });
  await ask('getLogs', 200, { path: '/v1/logs?select=daemon&lines=5&since=1h&level=info&grep=.&ignoreCase=true' });
  await ask('listInstances', 200, { path: '/v1/instances?select=comfyui&select=gpu:0' });

  // What would be found if there were anything.
  const status = await face.ask({ path: '/v1/status' });
  const more = status.json<{ data: { instances: object[] } }>();
  Object.assign(more.data.instances[0] ?? {}, { secret: 1 });
  expect(contract.problems('getStatus', { ...status, text: JSON.stringify(more) })).toEqual([
    expect.stringContaining('{"additionalProperty":"secret"}'),
  ]);
});

test('moves instances, and not itself', async () => {
  await ask('up', 200);
  await ask('restartInstance', 200, { path: '/v1/instances/worker_gpu0/restart', body: { force: true } });
  await ask('stopInstance', 200, { path: '/v1/instances/worker_gpu0/stop' });
  await ask('startInstance', 200, { path: '/v1/instances/worker_gpu0/start' });
  await ask('stopInstances', 200, { body: { select: ['nginx'] } });
  await ask('startInstances', 200, { body: { select: ['nginx', 'worker'] } });
  await ask('restartInstances', 200, { body: { select: ['nginx'] } });
  await ask('formerRestartService', 200, { path: '/restart/service?service=nginx' });
  expect(code(await ask('stopInstance', 409, { path: '/v1/instances/http/stop' }))).toBe('CONTROL_OWN_SERVICE');
  expect(code(await ask('restartInstances', 409, { body: { select: ['http'] } }))).toBe('CONTROL_OWN_SERVICE');
});

test('takes a job, waits for it, streams it, lists it and cancels it', async () => {
  const submitted = await ask('submitJob', 201, { body: inverted });
  const { id } = submitted.json<{ data: { id: string } }>().data;
  expect(submitted.headers.location).toBe(`/v1/jobs/${id}`);
  await ask('watchJob', 200, { path: `/v1/jobs/${id}/events` });
  expect(jobOf(await ask('getJob', 200, { path: `/v1/jobs/${id}` })).state).toBe('completed');
  const waited = await ask('submitJob', 200, { path: '/v1/jobs?wait=60', body: inverted });
  expect(jobOf(waited).result?.artifacts).toHaveLength(1);
  const streamed = await ask('submitJob', 200, { headers: { accept: 'text/event-stream' }, body: inverted });
  expect(streamed.text).toMatch(/^event: submitted\n.*event: ended\n/s);

  const running = jobOf(await ask('submitJob', 202, { path: '/v1/jobs?wait=1', body: slow(1) }));
  const waiting = (await ask('submitJob', 201, { body: slow(2) })).json<{ data: { id: string } }>().data;
  const listed = await ask('listJobs', 200, { path: '/v1/jobs?state=active&state=waiting&type=comfyui&limit=10' });
  expect(listed.json<{ data: JobStatus[] }>().data.map((each) => each.id)).toEqual([waiting.id, running.id]);
  for (const each of [waiting.id, running.id]) await ask('cancelJob', 200, { path: `/v1/jobs/${each}` });
  await ask('watchJob', 200, { path: `/v1/jobs/${running.id}/events` });
  expect(jobOf(await ask('getJob', 200, { path: `/v1/jobs/${running.id}` })).state).toBe('cancelled');
});

test('sends what a job has made: all of it, a range, and nothing again', async () => {
  const { id, result } = jobOf(await ask('submitJob', 200, { path: '/v1/jobs?wait=60', body: inverted }));
  const [{ name, bytes, sha256 }] = (result as JobResult).artifacts as [JobResult['artifacts'][number]];
  const path = `/v1/jobs/${id}/artifacts/${name}`;
  const whole = await ask('getArtifact', 200, { path });
  expect(createHash('sha256').update(whole.body).digest('hex')).toBe(sha256);
  expect(whole.headers).toMatchObject({ 'content-type': 'image/png', 'content-length': String(bytes) });
  const encoded = await ask('getArtifact', 200, { path: `/v1/jobs/${id}/artifacts/${encodeURIComponent(name)}` });
  expect(encoded.body).toEqual(whole.body);
  const part = await ask('getArtifact', 206, { path, headers: { range: 'bytes=2-9' } });
  expect(part.body).toEqual(whole.body.subarray(2, 10));
  expect(part.headers['content-range']).toBe(`bytes 2-9/${bytes}`);
  const { headers } = await ask('getArtifact', 416, { path, headers: { range: `bytes=${bytes}-` } });
  expect(headers['content-range']).toBe(`bytes */${bytes}`);
  await ask('getArtifact', 304, { path, headers: { 'if-none-match': String(whole.headers.etag) } });
  const changed = await ask('getArtifact', 412, { path, headers: { 'if-match': '"another"' } });
  expect(code(changed)).toBe('CONTROL_PRECONDITION');
  const odd = await ask('getArtifact', 404, { path: `/v1/jobs/${id}/artifacts/..%2f..%2f..%2fstate%2fhttp-token` });
  expect(code(odd)).toBe('CONTROL_ARTIFACT_UNKNOWN');
});

test('says what is unknown, wrong or too much', async () => {
  for (const [id, path] of [
    ['getInstance', '/v1/instances/nobody'],
    ['startInstance', '/v1/instances/nobody/start'],
    ['getJob', '/v1/jobs/nothing'],
    ['cancelJob', '/v1/jobs/nothing'],
    ['watchJob', '/v1/jobs/nothing/events'],
    ['getArtifact', '/v1/jobs/nothing/artifacts/a'],
    ['startOperation', '/v1/operations/nothing.at-all'],
    ['getTask', '/v1/tasks/nothing'],
    ['cancelTask', '/v1/tasks/nothing'],
    ['watchTask', '/v1/tasks/nothing/events'],
    ['listInstances', '/v1/instances?select=nobody'],
    ['getLogs', '/v1/logs?select=gpu:7'],
    ['formerServiceHealth', '/services/nobody/health'],
  ] as const)
    await ask(id, 404, { path });
  await ask('getStatus', 400, { path: '/v1/status?verbose=true' });
  await ask('getLogs', 400, { path: '/v1/logs?lines=0' });
  await ask('getLogs', 400, { path: '/v1/logs?ignoreCase=yes' });
  await ask('submitJob', 400, { body: { type: 'No Type' } });
  await ask('submitJob', 400, { body: '{' });
  await ask('stopInstances', 413, { body: { select: ['x'.repeat(300_000)] } });
  await ask('stopInstances', 415, {
    body: 'select=all',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
  });
  await ask('getStatus', 403, { headers: { host: 'elsewhere.example' } });
});

test('asks for the token wherever the document says so', async () => {
  for (const { operationId: id, security, path } of contract.endpoints) {
    if (security.length === 0) continue;
    for (const token of [null, 'x'.repeat(43)]) {
      const { headers } = await ask(id, 401, { path, token });
      expect(headers['www-authenticate']).toBe('Bearer realm="mgpu"');
    }
  }
});

test('answers HEAD wherever it answers GET', async () => {
  for (const path of ['/live', '/v1/status', '/v1/events', '/v1/logs/events', '/comfyui/logs'])
    expect([path, (await face.ask({ method: 'HEAD', path })).status]).toEqual([path, 200]);
});

test('has answered well to everything that is described but what would end it, and tasks where it has none', () => {
  const left = contract.endpoints.filter(({ operationId }) => !answered.has(operationId));
  const others = left.filter(({ path }) => !path.startsWith('/v1/operations/') && !path.startsWith('/v1/tasks/'));
  expect(others.map(({ operationId }) => operationId)).toEqual(['down', 'formerRestartMachine']);
});
