import { instantFromText, jobRequestSchema, jobStates, logLevels } from '@mgpu/core';
import { z } from 'zod';
import type { EndpointId } from './endpoints.ts';

/** The parts of a request; each is an object, and what is not named in it is refused. */
export interface RequestSchemas {
  readonly params?: z.ZodObject;
  readonly query?: z.ZodObject;
  readonly body?: z.ZodType;
}

/** Lines of one answer, at most. */
export const mostLines = 5_000;
/** Seconds that somebody waits in one request, at most. */
const mostWaitSeconds = 3_600;

const name = z.string().min(1).max(200);
/** What may be given several times in a query is an array, once as well. */
const several = <T extends z.ZodType>(each: T, most: number) =>
  z.preprocess((given) => (typeof given === 'string' ? [given] : given), z.array(each).max(most));
const texts = several(z.string().max(200), 1_000);
const select = texts
  .optional()
  .describe('Kinds, instances, `gpu:1` or `all`; several are asked for by several `select`');
const flag = z
  .preprocess((text) => (text === 'true' || text === 'false' ? text === 'true' : text), z.boolean())
  .optional();
const force = z.boolean().default(false).describe('Do not wait for work in hand: kill at once');
const count = (most: number) => z.coerce.number().int().min(1).max(most);
const instant = (what: string) =>
  z
    .string()
    .max(40)
    .transform((text, context) => {
      const time = instantFromText(text, Date.now());
      if (time === undefined)
        context.addIssue({ code: 'custom', message: `"${text}" is neither how long ago, such as 10m, nor a time` });
      return time;
    })
    .optional()
    .describe(`${what}: how long ago, such as \`10m\`, or a time in ISO 8601`);
const wait = count(mostWaitSeconds)
  .optional()
  .describe('Seconds to wait for the end; what has not ended by then is answered with 202');

const byId = z.strictObject({ id: name });
const byName = z.strictObject({ name });
const lines = count(mostLines).default(100).describe('The last so many lines of all logs together');

const logQuery = z.strictObject({
  select: select.describe('Kinds, instances, `gpu:1`, `daemon` or `all`; default: all instances'),
  lines,
  since: instant('Those written then or later'),
  until: instant('Those written up to then'),
  grep: z.string().max(500).optional().describe('Those in which this expression (RE2 syntax) matches'),
  ignoreCase: flag.describe('Whether `grep` takes no notice of case'),
  level: z.enum(logLevels).optional().describe('Those so severe, or more'),
});
const stop = z.strictObject({ force }).prefault({});
const many = z.strictObject({
  select: z.array(z.string().max(200)).min(1).max(1_000).describe('Kinds, instances, `gpu:1` or `all`'),
  force,
});

/** What can be said in a request. An endpoint that is not named takes nothing. */
export const requests = {
  getIncidents: {
    query: z.strictObject({
      subject: name.optional().describe('Instance id, GPU UUID or `machine`'),
      since: instant('Those that began then or later'),
      limit: count(500).default(100).describe('The last so many'),
    }),
  },
  down: { body: stop },
  listInstances: { query: z.strictObject({ select }) },
  getInstance: { params: byId },
  startInstance: { params: byId, body: z.strictObject({}).prefault({}) },
  stopInstance: { params: byId, body: stop },
  restartInstance: { params: byId, body: stop },
  startInstances: { body: many },
  stopInstances: { body: many },
  restartInstances: { body: many },
  holdInstance: { params: byId, body: z.strictObject({ why: z.string().min(1).max(500) }) },
  getLogs: { query: logQuery },
  followLogs: { query: logQuery.omit({ until: true }) },
  submitJob: { query: z.strictObject({ wait }), body: jobRequestSchema.meta({ id: 'JobRequest' }) },
  listJobs: {
    query: z.strictObject({
      type: texts.optional().describe('Types of jobs; default: those that are done here'),
      state: several(z.enum(jobStates), jobStates.length).optional().describe('States; default: all'),
      limit: count(500).default(50).describe('The newest so many'),
    }),
  },
  getJob: { params: byId },
  cancelJob: { params: byId },
  watchJob: { params: byId },
  getArtifact: { params: z.strictObject({ id: name, '*': z.string().min(1).max(500) }) },
  startOperation: {
    params: z.strictObject({ operation: name }),
    query: z.strictObject({ wait }),
    body: z.unknown(),
  },
  getTask: { params: byId },
  cancelTask: { params: byId },
  watchTask: { params: byId },
  formerServiceHealth: { params: byName },
  formerServiceLogs: { params: byName, query: z.strictObject({ limit: lines }) },
  formerLogs: { query: z.strictObject({ limit: lines }) },
  formerComfyUILogs: {
    query: z.strictObject({
      gpu: z.coerce.number().int().min(0).max(999).default(0),
      type: z.enum(['server', 'output', 'error']).default('output').describe('All are the one output it has'),
      lines,
    }),
  },
  formerRestartService: { query: z.strictObject({ service: name.describe('A service or an instance') }) },
} as const satisfies Partial<Record<EndpointId, RequestSchemas>>;
