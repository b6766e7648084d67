/**
 * Who may come in over TCP. `open`: everybody who reaches the port; `token`: whoever shows the machine's token; `socket`:
 * nobody, since the control socket alone has it.
 */
export type Access = 'open' | 'token' | 'socket';

export interface Endpoint {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** `:name` stands for one part, a final `*` for the rest. */
  readonly path: string;
  readonly access: Access;
  readonly group: 'Probes' | 'Machine' | 'Instances' | 'Logs' | 'Jobs' | 'Operations' | 'Predecessor';
  readonly summary: string;
}

/** Everything that can be asked: what the server routes, the client calls and the OpenAPI document describes. */
export const endpoints = {
  getLive: open('/live', 'Whether the daemon answers'),
  getHealth: open('/health', 'Whether everything that is wanted is well: 200, or 503'),
  getReady: open('/ready', 'Whether it can be sent work: 200, or 503'),
  getMetrics: get('Probes', '/metrics', "The machine in Prometheus' text format 0.0.4"),
  getOpenApi: open('/v1/openapi.json', 'This document'),

  getStatus: get('Machine', '/v1/status', 'How the machine is'),
  getEvents: get('Machine', '/v1/events', 'What happens on the machine, as server-sent events'),
  getBoot: get('Machine', '/v1/boot', 'The last boot, or the one under way'),
  getIncidents: get('Machine', '/v1/incidents', 'What went wrong, why, and what was done about it'),
  getConfig: get('Machine', '/v1/config', 'The configuration in force, secrets left out'),
  up: post('Machine', '/v1/up', 'Starts what is not running; answers when everything was tried'),
  down: post('Machine', '/v1/down', 'Stops everything, and then the daemon'),

  listInstances: get('Instances', '/v1/instances', 'The instances, or those that selectors name'),
  getInstance: get('Instances', '/v1/instances/:id', 'One instance'),
  startInstance: post('Instances', '/v1/instances/:id/start', 'Starts one; answers when it is ready'),
  stopInstance: post('Instances', '/v1/instances/:id/stop', 'Stops one; answers when it is gone'),
  restartInstance: post('Instances', '/v1/instances/:id/restart', 'Stops and starts one; answers when it is ready'),
  startInstances: post('Instances', '/v1/instances/start', 'Starts those that selectors name'),
  stopInstances: post('Instances', '/v1/instances/stop', 'Stops those that selectors name'),
  restartInstances: post('Instances', '/v1/instances/restart', 'Restarts those that selectors name'),
  holdInstance: {
    ...post('Instances', '/v1/instances/:id/hold', 'Stops one, and keeps it from starting while the answer is open'),
    access: 'socket',
  },

  getLogs: get('Logs', '/v1/logs', 'The last lines of many logs, in the order of time'),
  followLogs: get('Logs', '/v1/logs/events', 'The same, and what follows, as server-sent events'),

  submitJob: post('Jobs', '/v1/jobs', 'Submits a job; waits for its end, or streams it, on request'),
  listJobs: get('Jobs', '/v1/jobs', 'The jobs in the queues of this machine, the newest first'),
  getJob: get('Jobs', '/v1/jobs/:id', 'One job'),
  cancelJob: remove('Jobs', '/v1/jobs/:id', 'Cancels a job'),
  watchJob: get('Jobs', '/v1/jobs/:id/events', 'What happens to a job up to its end, as server-sent events'),
  getArtifact: get('Jobs', '/v1/jobs/:id/artifacts/*', 'One file that a job has made, or a range of it'),

  listOperations: get('Operations', '/v1/operations', 'What can be asked for as a task, with the schema of its input'),
  startOperation: post('Operations', '/v1/operations/:operation', 'Starts an operation as a task'),
  listTasks: get('Operations', '/v1/tasks', 'The tasks of this life of the daemon, the newest first'),
  getTask: get('Operations', '/v1/tasks/:id', 'One task'),
  cancelTask: remove('Operations', '/v1/tasks/:id', 'Cancels a task'),
  watchTask: get('Operations', '/v1/tasks/:id/events', 'How a task fares up to its end, as server-sent events'),

  formerStatus: former('GET', '/status', 'How each service is, by its id'),
  formerVersion: former('GET', '/version', 'Version of the daemon'),
  formerServices: former('GET', '/services', 'The services'),
  formerServiceHealth: former('GET', '/services/:name/health', 'Whether one service is well: 200, or 503'),
  formerServiceLogs: former('GET', '/services/:name/logs', 'The last lines of one service'),
  formerLogs: former('GET', '/logs', 'The last lines of all services, the newest first'),
  formerComfyUILogs: former('GET', '/comfyui/logs', 'What the ComfyUI of one GPU prints, as text, and what follows'),
  formerRestartMachine: former('POST', '/restart/machine', 'Restarts everything'),
  formerRestartService: former('POST', '/restart/service', 'Restarts one service'),
  formerRefreshStatus: former('GET', '/refresh-status', 'Nothing to do: what is told is never old'),
  formerRefreshStatusPost: former('POST', '/refresh-status', 'Nothing to do: what is told is never old'),
} as const satisfies Readonly<Record<string, Endpoint>>;

export type EndpointId = keyof typeof endpoints;

/** The path of an endpoint with its parameters filled in; a rest keeps its slashes. */
export function pathOf(id: EndpointId, params: Readonly<Record<string, string>> = {}): string {
  return endpoints[id].path.replace(/:(\w+)|\*$/g, (part, name: string | undefined) => {
    const value = params[name ?? part];
    if (value === undefined) throw new TypeError(`${id} has no ${part}`);
    return name === undefined ? value.split('/').map(encodeURIComponent).join('/') : encodeURIComponent(value);
  });
}

function open(path: string, summary: string) {
  return { method: 'GET', path, access: 'open', group: 'Probes', summary } as const;
}

function get<G extends Endpoint['group']>(group: G, path: string, summary: string) {
  return { method: 'GET', path, access: 'token', group, summary } as const;
}

function post<G extends Endpoint['group']>(group: G, path: string, summary: string) {
  return { method: 'POST', path, access: 'token', group, summary } as const;
}

function remove<G extends Endpoint['group']>(group: G, path: string, summary: string) {
  return { method: 'DELETE', path, access: 'token', group, summary } as const;
}

function former<M extends 'GET' | 'POST'>(method: M, path: string, summary: string) {
  return { method, path, access: 'token', group: 'Predecessor', summary } as const;
}
