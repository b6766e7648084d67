import type { JobEvent, JobStatus } from '@mgpu/core';
import { envelope } from '../contract.ts';
import { sendArtifact } from './artifact.ts';
import { answer, type Routing } from './route.ts';
import { waitForEnd, wantsStream } from './waiting.ts';

/** The queue, and what its jobs have made. */
export function jobRoutes(routing: Routing): void {
  const { control, streams } = routing;

  answer(routing, 'submitJob', async ({ query, body, request, reply }) => {
    const jobs = control.jobs();
    const isStreamed = wantsStream(request);
    if (isStreamed) streams.expectRoom(); // 503 says that nothing was done
    const id = await jobs.submit(body);
    const location = `/v1/jobs/${encodeURIComponent(id)}`;
    reply.header('location', location);
    if (isStreamed) {
      const stream = streams.open(reply);
      const submitted = { event: 'submitted', id } as const;
      return await streams.pass(stream, async function* (signal): AsyncGenerator<JobEvent | typeof submitted> {
        yield submitted;
        yield* jobs.watch(id, { signal });
      });
    }
    if (query.wait === undefined) return reply.status(201).send(envelope('JobSubmitted', { id }));
    const isEnded = await waitForEnd(reply, query.wait, (signal) => jobs.watch(id, { signal }));
    return reply.status(isEnded ? 200 : 202).send(envelope('Job', await jobs.get(id)));
  });
  answer(routing, 'listJobs', async ({ query: { type, state, limit } }) => {
    const types = type ?? control.jobTypes();
    const states = state === undefined ? {} : { states: state };
    return envelope('Jobs', await control.jobs().list({ types, ...states, limit }));
  });
  answer(routing, 'getJob', async ({ params: { id } }) => envelope('Job', await control.jobs().get(id)));
  answer(routing, 'cancelJob', async ({ params: { id } }) => {
    await control.jobs().cancel(id);
    return envelope('JobCancelled', { id });
  });
  answer(routing, 'watchJob', async ({ params: { id }, reply }) => {
    const jobs = control.jobs();
    await jobs.get(id); // an unknown job is an answer, not a stream
    const stream = streams.open(reply);
    await streams.pass(stream, (signal) => jobs.watch(id, { signal }));
  });
  answer(routing, 'getArtifact', async ({ params, request, reply }) => {
    const job: JobStatus = await control.jobs().get(params.id);
    return await sendArtifact(job, params['*'], { control, request, reply });
  });
}
