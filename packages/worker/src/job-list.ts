import type { JobState, JobStatus } from '@mgpu/core/jobs';
import { type JobSketch, readJob, sketchJobs } from './job-status.ts';
import type { JobPlace, JobSink } from './queue.ts';
import type { RedisLink } from './redis.ts';

export interface JobSelection {
  readonly states: readonly JobState[];
  readonly limit: number;
}

/** Where BullMQ keeps the jobs of each state. Those in `active` that nobody holds wait for a worker to find them. */
const placesOf: Readonly<Record<JobState, readonly JobPlace[]>> = {
  waiting: ['wait', 'paused', 'prioritized', 'delayed', 'waiting-children', 'active'],
  active: ['active'],
  completed: ['completed'],
  failed: ['failed'],
  cancelled: ['failed'],
};

/** A place is looked through in portions no smaller than this, so that little that is wanted among much else costs few trips. */
const smallestPage = 100;
/** So many jobs of a place are looked at, however few of them are wanted. */
const mostSeen = 5_000;
/** Whole jobs are read a few at a time: each may come with a megabyte of input, which is of no use here. */
const readAtOnce = 10;

/** The newest of these queues together, the newest first. */
export async function listJobs(
  link: RedisLink,
  prefix: string,
  sinks: readonly JobSink[],
  selection: JobSelection,
): Promise<readonly JobStatus[]> {
  const { states, limit } = selection;
  const sketches: JobSketch[] = [];
  for (const sink of sinks) sketches.push(...(await newestOf(link, prefix, sink, selection)));
  const newest = sketches.toSorted((a, b) => b.createdAt - a.createdAt).slice(0, limit);
  const listed: JobStatus[] = [];
  for (let start = 0; start < newest.length; start += readAtOnce) {
    const some = newest.slice(start, start + readAtOnce);
    const known = await Promise.all(some.map(({ type, id }) => readJob(link, prefix, type, id)));
    listed.push(...known.flatMap((each) => each?.status ?? []));
  }
  // Some have gone on since they were sketched.
  return listed.filter(({ state }) => states.includes(state));
}

/** Of each place of a queue the jobs in these states that came last: `limit` of them, or more. */
async function newestOf(
  link: RedisLink,
  prefix: string,
  sink: JobSink,
  { states, limit }: JobSelection,
): Promise<Iterable<JobSketch>> {
  const page = Math.max(limit, smallestPage);
  // By id: whoever changes place while we look is met twice.
  const found = new Map<string, JobSketch>();
  const wanted = new Map<JobPlace, number>();
  let places = [...new Set(states.flatMap((state) => placesOf[state]))];
  for (let start = 0; places.length > 0 && start < mostSeen; start += page) {
    const pages = await sink.idsIn(places, start, page);
    const unfinished: JobPlace[] = [];
    for (const [index, place] of places.entries()) {
      const ids = pages[index] ?? [];
      const sketches = await sketchJobs(link, prefix, sink.type, ids);
      const matching = sketches.filter(({ state }) => states.includes(state));
      for (const each of matching) found.set(each.id, each);
      const count = (wanted.get(place) ?? 0) + matching.length;
      wanted.set(place, count);
      if (ids.length === page && count < limit) unfinished.push(place);
    }
    places = unfinished;
  }
  return found.values();
}
