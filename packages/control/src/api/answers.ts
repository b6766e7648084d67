import { z } from 'zod';
import { type EndpointId, endpoints } from './endpoints.ts';
import * as say from './schemas.ts';

/** One way in which an endpoint answers. */
export interface Answer {
  /** Default 200. */
  readonly status?: number;
  readonly summary?: string;
  /** Default `application/json`; of a stream of events `data` is what the data of one message is. */
  readonly mediaType?: string;
  /** Of the envelope; without one `data` is all there is. */
  readonly kind?: string;
  /** What is left out is bytes or text. */
  readonly data?: z.ZodType;
  readonly isEmpty?: true;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Answers {
  readonly description?: string;
  readonly answers: readonly Answer[];
  /** Status codes of errors, besides those that anything may be answered with. */
  readonly errors?: readonly number[];
  /** Headers of the request that are understood. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** Endpoints of the control socket alone are described nowhere. */
export type DescribedId = {
  [K in EndpointId]: (typeof endpoints)[K]['access'] extends 'socket' ? never : K;
}[EndpointId];

export const describedIds = (Object.keys(endpoints) as EndpointId[]).filter(
  (id): id is DescribedId => endpoints[id].access !== 'socket',
);

type More = Omit<Answer, 'kind' | 'data' | 'mediaType'>;

const inEnvelope = (kind: string, data: z.ZodType, more: More = {}): Answer => ({ kind, data, ...more });
const plain = (data: z.ZodType, more: More = {}): Answer => ({ data, ...more });
const asText = (more: More & { mediaType?: string } = {}): Answer => ({ mediaType: 'text/plain', ...more });
const stream = (...events: [z.ZodType, ...z.ZodType[]]): Answer => ({
  mediaType: 'text/event-stream',
  data: events.length === 1 ? events[0] : z.union(events),
  summary: 'Server-sent events: `data` of each is one JSON object, whose `event` is the name of the event, too',
});

const goOn = 'The id of the last event that was got: the stream goes on after it, as far as that is known';
const location = (what: string) => ({ location: `Path of the ${what}` });

const ofFile = {
  'accept-ranges': '`bytes`',
  'content-disposition': '`attachment`',
  etag: 'For If-None-Match and If-Range',
  'last-modified': 'For If-Modified-Since and If-Range',
  'repr-digest': 'SHA-256 of the whole file (RFC 9530)',
};

/** The verbs for single instances; what keeps one from starting is 502 or 503. */
const moved: Answers = {
  answers: [inEnvelope('Instance', say.instanceStatus)],
  errors: [404, 409, 502, 503],
};
const movedMany: Answers = {
  answers: [
    inEnvelope('Instances', z.array(say.instanceOutcome)),
    inEnvelope('Instances', z.array(say.instanceOutcome), {
      status: 207,
      summary: 'Some failed: each with its `error`',
    }),
  ],
  errors: [404, 409, 502, 503],
};
const task = inEnvelope('Task', say.taskStatus);
const job = inEnvelope('Job', say.jobStatus);
/** Nobody answers for the queue, or it fails. */
const ofQueue = [502, 503];

/** What every endpoint answers. */
export const answers: Readonly<Record<DescribedId, Answers>> = {
  getLive: { answers: [plain(z.strictObject({ live: z.literal(true) }))] },
  getHealth: {
    description: 'With the token each service is told of, too.',
    answers: [
      plain(say.healthReport),
      plain(say.healthReport, { status: 503, summary: 'Something that is wanted is not well' }),
    ],
    errors: [503],
  },
  getReady: {
    answers: [
      plain(z.strictObject({ ready: z.literal(true) })),
      plain(z.strictObject({ ready: z.literal(false) }), { status: 503, summary: 'Not now' }),
    ],
  },
  getMetrics: { answers: [asText()] },
  getOpenApi: { answers: [plain(z.record(z.string(), z.unknown()))] },

  getStatus: { answers: [inEnvelope('Status', say.machineStatus)] },
  getEvents: { answers: [stream(say.machineEvent)], errors: [503], headers: { 'Last-Event-ID': goOn } },
  getBoot: { answers: [inEnvelope('Boot', say.bootReport)] },
  getIncidents: { answers: [inEnvelope('Incidents', z.array(say.incidentReport))], errors: [502] },
  getConfig: { answers: [inEnvelope('Config', say.configReport)] },
  up: { answers: [inEnvelope('Boot', say.bootReport)], errors: [502, 503] },
  down: {
    answers: [inEnvelope('Down', z.strictObject({}), { status: 202, summary: 'It stops, and this API with it' })],
  },

  listInstances: { answers: [inEnvelope('InstanceList', z.array(say.instanceStatus))], errors: [404] },
  getInstance: { answers: [inEnvelope('Instance', say.instanceStatus)], errors: [404] },
  startInstance: moved,
  stopInstance: moved,
  restartInstance: moved,
  startInstances: movedMany,
  stopInstances: movedMany,
  restartInstances: movedMany,

  getLogs: { answers: [inEnvelope('Logs', say.logs)], errors: [404] },
  followLogs: {
    answers: [stream(say.linesEvent, say.errorEvent)],
    errors: [404, 503],
    headers: { 'Last-Event-ID': `${goOn}; the \`cursor\` of /v1/logs is one` },
  },

  submitJob: {
    answers: [
      inEnvelope('JobSubmitted', say.jobSubmitted, { status: 201, headers: location('job') }),
      { ...job, summary: 'With `wait`: it has ended, in whatever way', headers: location('job') },
      { ...job, status: 202, summary: 'With `wait`: it has not ended yet', headers: location('job') },
      stream(say.submittedEvent, say.jobEvent, say.errorEvent),
    ],
    errors: ofQueue,
    description: 'With `Accept: text/event-stream` the job is submitted and watched in one request.',
  },
  listJobs: { answers: [inEnvelope('Jobs', z.array(say.jobStatus))], errors: ofQueue },
  getJob: { answers: [job], errors: [404, ...ofQueue] },
  cancelJob: { answers: [inEnvelope('JobCancelled', say.jobSubmitted)], errors: [404, ...ofQueue] },
  watchJob: { answers: [stream(say.jobEvent, say.errorEvent)], errors: [404, ...ofQueue] },
  getArtifact: {
    answers: [
      { mediaType: '*/*', headers: ofFile },
      { status: 304, summary: 'It is what `If-None-Match` or `If-Modified-Since` tell of', isEmpty: true },
      {
        status: 206,
        mediaType: '*/*',
        summary: 'The range that was asked for',
        headers: { ...ofFile, 'content-range': 'Which of how many bytes' },
      },
    ],
    errors: [404, 412, 416, ...ofQueue],
    description:
      'Conditions (`If-None-Match`, `If-Range` and others of RFC 9110) are understood. Only a file that lies on this machine is there.',
    headers: { Range: 'One range of bytes, such as `bytes=0-1023`' },
  },

  listOperations: { answers: [inEnvelope('Operations', z.array(say.operation))] },
  startOperation: {
    answers: [
      { ...task, summary: 'With `wait`: it has ended, in whatever way', headers: location('task') },
      { ...task, status: 202, summary: 'It runs', headers: location('task') },
    ],
    errors: [404],
  },
  listTasks: { answers: [inEnvelope('Tasks', z.array(say.taskStatus))] },
  getTask: { answers: [task], errors: [404] },
  cancelTask: { answers: [{ ...task, summary: 'It has ended' }], errors: [404] },
  watchTask: { answers: [stream(say.taskEvent, say.errorEvent)], errors: [404, 503] },

  formerStatus: { answers: [plain(say.formerStatus)] },
  formerVersion: { answers: [plain(say.formerVersion)] },
  formerServices: { answers: [plain(say.formerServices)] },
  formerServiceHealth: {
    answers: [
      plain(say.formerServiceHealth),
      plain(say.formerServiceHealth, { status: 503, summary: 'It is not well' }),
    ],
    errors: [404],
  },
  formerServiceLogs: { answers: [plain(say.formerServiceLogs)], errors: [404] },
  formerLogs: { answers: [plain(say.formerLogs)] },
  formerComfyUILogs: { answers: [asText()], errors: [404, 503] },
  formerRestartMachine: { answers: [plain(say.formerMessage, { status: 202 })], errors: [502] },
  formerRestartService: {
    answers: [
      plain(say.formerMessage),
      plain(say.formerError, { status: 502, summary: 'Some could not be started again' }),
    ],
    errors: [404, 409, 502],
  },
  formerRefreshStatus: { answers: [plain(say.formerRefresh)] },
  formerRefreshStatusPost: { answers: [plain(say.formerRefresh)] },
};
