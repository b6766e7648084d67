import { json, type Reply, type Request, type Route } from '../../http.ts';
import { PythonError, pyInt } from '../../python/values.ts';
import type { Engine } from '../engine.ts';
import { type Job, jobDetails, jobs, STATUSES } from '../jobs.ts';
import { isPromptId } from '../queue.ts';

/** `/api/jobs...`, from 0.6; cancelling from 0.26. */
export function jobRoutes(engine: Engine): Route[] {
  const routes: Route[] = [];
  if (engine.isSince('0.6.0')) {
    routes.push(
      { method: 'GET', path: '/api/jobs', handle: ({ query }) => list(engine, query) },
      {
        method: 'GET',
        path: '/api/jobs/{id}',
        handle({ params: { id = '' } }) {
          const job = jobDetails(engine, id);
          return job === undefined ? json({ error: 'Job not found' }, 404) : json(job);
        },
      },
    );
  }
  if (engine.isSince('0.26.0')) {
    routes.push(
      { method: 'POST', path: '/api/jobs/cancel', handle: (request) => cancelMany(engine, request) },
      {
        method: 'POST',
        path: '/api/jobs/{id}/cancel',
        handle: ({ params: { id = '' } }) => json({ cancelled: engine.cancel(id) }),
      },
    );
  }
  return routes;
}

function list(engine: Engine, query: URLSearchParams): Reply {
  const refuse = (error: string) => json({ error }, 400);
  const known = engine.isSince('0.26.0') ? STATUSES : STATUSES.filter((status) => status !== 'cancelled');
  const wanted = (query.get('status') ?? '')
    .toLowerCase()
    .split(',')
    .map((status) => status.trim())
    .filter((status) => status !== '');
  const strange = wanted.filter((status) => !(known as readonly string[]).includes(status));
  if (strange.length > 0)
    return refuse(`Invalid status value(s): ${strange.join(', ')}. Valid values: ${known.join(', ')}`);
  const sortBy = (query.get('sort_by') ?? 'created_at').toLowerCase();
  if (sortBy !== 'created_at' && sortBy !== 'execution_duration')
    return refuse("sort_by must be 'created_at' or 'execution_duration'");
  const order = (query.get('sort_order') ?? 'desc').toLowerCase();
  if (order !== 'asc' && order !== 'desc') return refuse("sort_order must be 'asc' or 'desc'");
  const limit = integer(query.get('limit'));
  if (limit === null) return refuse('limit must be an integer');
  if (limit !== undefined && limit <= 0) return refuse('limit must be a positive integer');
  const given = integer(query.get('offset'));
  if (given === null) return refuse('offset must be an integer');

  const offset = Math.max(0, given ?? 0);
  const workflow = query.get('workflow_id');
  const found = jobs(engine).filter(
    (job) =>
      (wanted.length === 0 || wanted.includes(job.status)) && (workflow === null || job.workflow_id === workflow),
  );
  const key = (job: Job) =>
    sortBy === 'created_at' ? (job.create_time ?? 0) : (job.execution_end_time ?? 0) - (job.execution_start_time ?? 0);
  found.sort((a, b) => (order === 'asc' ? key(a) - key(b) : key(b) - key(a)));
  const page = found.slice(offset, limit === undefined ? undefined : offset + limit);
  return json({
    jobs: page,
    pagination: { offset, limit: limit ?? null, total: found.length, has_more: offset + page.length < found.length },
  });
}

/** Undefined when absent, null when it is no integer. */
function integer(text: string | null): number | null | undefined {
  if (text === null || text === '') return undefined;
  try {
    return pyInt(text);
  } catch (error) {
    if (error instanceof PythonError) return null;
    throw error;
  }
}

async function cancelMany(engine: Engine, request: Request): Promise<Reply> {
  let body: unknown;
  try {
    body = await request.json();
  } catch {
    return json({ error: 'Request body must be valid JSON' }, 400);
  }
  const ids = (body as { job_ids?: unknown } | null)?.job_ids;
  if (!Array.isArray(ids)) return json({ error: 'job_ids must be a list' }, 400);
  const invalid = ids.filter((id) => !isPromptId(id));
  if (invalid.length > 0)
    return json({ error: 'job_ids contains invalid id(s)', invalid_ids: invalid.map(String) }, 400);
  const cancelled = ids.map((id) => engine.cancel(id as string));
  return json({ cancelled: cancelled.includes(true) });
}
